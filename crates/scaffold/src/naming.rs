//! Names that the manifest takes, made of names that people gave otherwise.

use std::collections::BTreeSet;

use manifest::AppName;

/// Names of Roadbed's own processes and of its data services.
const TAKEN: [&str; 8] = ["keeper", "control", "edge", "telemetry", "roadbed", "mongodb", "redis", "media"];
/// An app's instances and listeners are named after it and need room.
const LONGEST: usize = 22;

/// The product's name: of its package, else of its folder.
pub fn product_name(package: Option<&str>, folder: &str) -> String {
    let own = |text: &str| name(text.rsplit('/').next().unwrap_or(text));
    package.and_then(own).or_else(|| own(folder)).unwrap_or_else(|| "shop".to_owned())
}

/// An app's name: of its folder, or what it is where that is the product's.
pub(crate) fn app_name(path: &str, kind: &str, taken: &BTreeSet<&str>) -> String {
    let folder = path.rsplit('/').next().filter(|folder| *folder != ".");
    let wanted = folder.and_then(name).filter(|name| !TAKEN.contains(&name.as_str()));
    let wanted = wanted.unwrap_or_else(|| kind.to_owned());
    let is_free = |name: &String| !taken.contains(name.as_str());
    if is_free(&wanted) {
        return wanted;
    }
    // The folder above tells two of one name apart; a number would be taken for an instance.
    let longer = name(&path.replace('/', "-")).filter(is_free);
    longer.unwrap_or_else(|| format!("{}-too", wanted.get(..LONGEST - 4).unwrap_or(&wanted)))
}

fn name(text: &str) -> Option<String> {
    let letters = text.chars().map(|letter| letter.to_ascii_lowercase());
    let letters: String = letters.map(|one| if one.is_ascii_alphanumeric() { one } else { '-' }).collect();
    let letters = letters.trim_start_matches(|one: char| !one.is_ascii_lowercase()).trim_end_matches('-');
    let letters = letters.get(..LONGEST).unwrap_or(letters).trim_end_matches('-');
    AppName::new(letters).ok().map(|name| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_and_folders_become_names_of_the_manifest() {
        assert_eq!(product_name(Some("@acme/Corner_Shop"), "x"), "corner-shop");
        assert_eq!(product_name(None, "42 shops"), "shops");
        assert_eq!(product_name(Some("@@"), "***"), "shop");
        let none = BTreeSet::new();
        assert_eq!(app_name("apps/storefront", "web", &none), "storefront");
        assert_eq!(app_name(".", "web", &none), "web");
        assert_eq!(app_name("apps/edge", "web", &none), "web", "a process of Roadbed has that name");
        assert_eq!(app_name("b/api", "api", &BTreeSet::from(["api"])), "b-api");
        assert_eq!(app_name("a-name-that-goes-on-and-on-and-on", "api", &none).len(), 22);
    }
}
