//! Whom the owner of a domain allows to issue for it (RFC 8659).

use super::names::{Allows, Names};
use super::{Finding, Question};

/// Whether an authority may issue for a host: the records of the nearest name above it that has any.
pub(super) async fn allows(
    host: &str,
    directory: &str,
    identities: &Result<Vec<String>, String>,
    names: &Names,
) -> Finding {
    let mut name = host;
    loop {
        match names.caa(name).await {
            Err(why) => {
                let hint = "authorities refuse where they get no answer: look at the name servers of the domain";
                return Finding::bad(host, Question::CaaAllows, format!("CAA of {name}: {why}"), hint.to_owned());
            }
            Ok(records) if !records.is_empty() => return judge(host, name, directory, identities, &records),
            Ok(_) => {}
        }
        match name.split_once('.') {
            Some((_, parent)) if parent.contains('.') => name = parent,
            _ => {
                return Finding::good(host, Question::CaaAllows, "no CAA record: every authority may issue".to_owned());
            }
        }
    }
}

fn judge(
    host: &str,
    name: &str,
    directory: &str,
    identities: &Result<Vec<String>, String>,
    records: &[Allows],
) -> Finding {
    let issue = records.iter().filter(|record| record.tag == "issue");
    let allowed: Vec<&str> = issue.map(|record| record.value.split(';').next().unwrap_or_default().trim()).collect();
    if allowed.is_empty() {
        return Finding::good(host, Question::CaaAllows, format!("CAA of {name} restricts nobody"));
    }
    let identities = match identities {
        Ok(identities) => identities,
        Err(why) => {
            let hint = format!("see whether {directory} can be reached from here");
            return Finding::bad(host, Question::CaaAllows, why.clone(), hint);
        }
    };
    if identities.iter().any(|identity| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(identity))) {
        return Finding::good(host, Question::CaaAllows, format!("CAA of {name} allows {directory}"));
    }
    let said = format!("CAA of {name} allows {:?} and not {directory}", allowed.join(", "));
    let hint = match identities.first() {
        Some(identity) => format!("add the record: {name}. CAA 0 issue \"{identity}\""),
        None => format!("{directory} does not say by which name it is allowed: ask whoever runs it"),
    };
    Finding::bad(host, Question::CaaAllows, said, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(identities: &[&str], records: &[(&str, &str)]) -> bool {
        let record = |(tag, value): &(&str, &str)| Allows { tag: (*tag).to_owned(), value: (*value).to_owned() };
        let records: Vec<Allows> = records.iter().map(record).collect();
        let identities = Ok(identities.iter().map(|&identity| identity.to_owned()).collect());
        judge("www.shop.example", "shop.example", "https://ca.example/", &identities, &records).holds
    }

    #[test]
    fn who_is_named_may_and_where_nobody_is_named_all_may() {
        assert!(holds(&["ca.example"], &[("issue", "other.example"), ("issue", "CA.example; accounturi=x")]));
        assert!(!holds(&["ca.example"], &[("issue", "other.example")]));
        assert!(!holds(&["ca.example"], &[("issue", ";")]), "nobody may");
        assert!(holds(&["ca.example"], &[("iodef", "mailto:a@shop.example")]));
        assert!(!holds(&[], &[("issue", "ca.example")]));
    }
}
