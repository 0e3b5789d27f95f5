//! What is written to customers and to those who are called: each with gaps, so that nobody has to find words at night.

/// A message with gaps, each a name in braces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub name: &'static str,
    /// When it is sent, and to whom.
    pub when: &'static str,
    pub text: &'static str,
}

/// To customers, when the trouble is known and its cause is not.
pub const INVESTIGATING: Message = Message {
    name: "investigating",
    when: "status page, within ten minutes of the first look",
    text: "We are looking into a problem with {product}: {what}. It began at {since}. We write again at {next}.",
};

/// To customers, when it is known what to do.
pub const IDENTIFIED: Message = Message {
    name: "identified",
    when: "status page, when it is known what to do",
    text: "We know what is wrong with {product}: {what}. We are mending it. We write again at {next}.",
};

/// To customers, when it is mended and watched.
pub const MONITORING: Message = Message {
    name: "monitoring",
    when: "status page, when it is mended and watched",
    text: "{product} works again: {what}. We keep watching it, and write again at {next}.",
};

/// To customers, when it is over.
pub const RESOLVED: Message = Message {
    name: "resolved",
    when: "status page, when every promise holds again",
    text: "This is over: {what}. It lasted from {since} to {until}. Within five working days we write what happened and what we \
           change.",
};

/// To whoever is called.
pub const CALL: Message = Message {
    name: "call",
    when: "to the next who is called, by telephone and then in writing",
    text: "{environment} of {product}: {what}, since {since}. {lead} leads. Wanted from you: {wanted}. Nothing is done by two people \
           at once: say what you do before you do it.",
};

/// All of them, in the order in which they are sent.
pub const ALL: [Message; 5] = [INVESTIGATING, CALL, IDENTIFIED, MONITORING, RESOLVED];

impl Message {
    /// The text with its gaps filled; what is not known stays a gap, in its braces.
    pub fn filled(&self, gaps: &[(&str, &str)]) -> String {
        // From left to right and once, so that a value that looks like a gap is not filled in turn.
        let (mut text, mut rest) = (String::new(), self.text);
        while let Some((before, after)) = rest.split_once('{') {
            text += before;
            let Some((name, tail)) = after.split_once('}') else { break };
            match gaps.iter().find(|(gap, _)| *gap == name) {
                Some((_, value)) => text += value,
                None => text += &format!("{{{name}}}"),
            }
            rest = tail;
        }
        text + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_once_and_unknown_ones_stay() {
        let text = INVESTIGATING.filled(&[("product", "Shop"), ("what", "{since} is {odd"), ("since", "10:00")]);
        assert_eq!(
            text,
            "We are looking into a problem with Shop: {since} is {odd. It began at 10:00. We write again at {next}."
        );
    }
}
