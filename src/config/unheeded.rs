//! What was set and changes nothing: told line by line to who asks, and in short to everybody.

use std::fmt;

use super::error::Origin;

/// Names that one line of a summary has room for.
const NAMES_IN_A_LINE: usize = 8;

/// Something that was set before the start and has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheeded {
    /// Where it was set.
    pub origin: Origin,
    /// The number of the line there, counting from 1.
    pub line: usize,
    /// The name of the setting, or of a directive that is none.
    pub name: String,
    /// Why it has no effect.
    pub why: String,
}

/// With its place, as compilers have it.
impl fmt::Display for Unheeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(path) | Origin::Included(path) => {
                write!(f, "{}:{}: ", path.display(), self.line)?;
            }
            Origin::Stdin => write!(f, "standard input:{}: ", self.line)?,
            Origin::Arguments => write!(f, "command line: ")?,
            Origin::Code => {}
        }
        write!(f, "'{}' has no effect: {}", self.name, self.why)
    }
}

/// The same in few lines: one for each reason, with the names that it holds for.
pub fn summary(unheeded: &[Unheeded]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for Unheeded { name, why, .. } in unheeded {
        match reasons.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, names)) if names.contains(&name.as_str()) => {}
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    let line = |(why, names): (&str, Vec<&str>)| format!("{}: {why}", listed(&names));
    reasons.into_iter().map(line).collect()
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match &quoted[..] {
        [name] => format!("{name} has no effect"),
        [names @ .., last] if quoted.len() <= NAMES_IN_A_LINE => {
            format!("{} and {last} have no effect", names.join(", "))
        }
        names => {
            let (shown, rest) = names.split_at(NAMES_IN_A_LINE.min(names.len()));
            let (shown, more) = (shown.join(", "), rest.len());
            format!("{shown} and {more} more have no effect")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unheeded(names: &[&str], why: &str) -> Vec<Unheeded> {
        let lines = names.iter().enumerate().map(|(index, name)| Unheeded {
            origin: Origin::File("r.conf".into()),
            line: index + 1,
            name: (*name).to_owned(),
            why: why.to_owned(),
        });
        lines.collect()
    }

    #[test]
    fn each_reason_is_one_line() {
        let many = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let mut all = unheeded(&["save", "appendonly", "save"], "nothing is kept");
        all.extend(unheeded(&["tls-port"], "there is no TLS"));
        all.extend(unheeded(&many, "it tunes"));
        assert_eq!(
            summary(&all),
            [
                "'save' and 'appendonly' have no effect: nothing is kept",
                "'tls-port' has no effect: there is no TLS",
                "'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h' and 2 more have no effect: it tunes",
            ]
        );
        assert_eq!(
            all[1].to_string(),
            "r.conf:2: 'appendonly' has no effect: nothing is kept"
        );
        assert_eq!(summary(&[]), [""; 0]);
    }
}
