//! Whom somebody wants forgotten: the identities by which their entries are told from others'.

use serde::{Deserialize, Serialize};

/// A person, by every identity that is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whom {
    /// Customer ids.
    pub ids: Vec<String>,
    /// E-mail addresses, each in its business unit.
    pub addresses: Vec<Address>,
    /// Where entries with no unit got one by configuration: what keeps the entries alone does not know that.
    #[serde(default)]
    pub defaults: Vec<DefaultUnit>,
}

/// A business unit that entries without one got, and in which imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultUnit {
    /// The unit.
    pub unit: String,
    /// The imports, from one to another, both included.
    pub imports: Vec<(i64, i64)>,
}

/// An e-mail address in a business unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address; upper and lower case are the same.
    pub email: String,
    /// The unit; an absent one and an empty one are the same.
    pub unit: String,
}

impl Whom {
    /// Somebody known by an id.
    pub fn by_id(id: &str) -> Whom {
        Whom {
            ids: vec![id.to_owned()],
            ..Whom::default()
        }
    }

    /// Somebody known by an e-mail address in a unit.
    pub fn by_address(email: &str, unit: &str) -> Whom {
        Whom {
            addresses: vec![Address {
                email: email.to_owned(),
                unit: unit.to_owned(),
            }],
            ..Whom::default()
        }
    }

    /// Whether this is theirs: the id is one of theirs, or the address is, in its unit.
    pub fn is(&self, id: Option<&str>, email: Option<&str>, unit: Option<&str>) -> bool {
        let by_id = id.is_some_and(|id| self.ids.iter().any(|one| one == id));
        by_id || email.is_some_and(|email| self.has_address(email, unit.unwrap_or_default()))
    }

    /// The unit that entries of an import got which had none.
    pub fn default_unit_of(&self, import: i64) -> Option<&str> {
        let holds = |(first, last): &(i64, i64)| (*first..=*last).contains(&import);
        let found = self.defaults.iter().find(|default| {
            let next = default.imports.partition_point(|(_, last)| *last < import);
            default.imports.get(next).is_some_and(holds)
        });
        found.map(|default| default.unit.as_str())
    }

    /// Whether a text for people has one of the identities in it: an address anywhere, an id between quotes alone, since a
    /// short one could be part of any word.
    pub fn is_named_in(&self, text: &str) -> bool {
        let quoted = |id: &String| text.contains(&format!("\"{id}\"")) || text.contains(&format!("`{id}`"));
        let text_lower = text.to_lowercase();
        let mut addresses = self.addresses.iter();
        self.ids.iter().any(quoted) || addresses.any(|address| text_lower.contains(&address.email.to_lowercase()))
    }

    /// Whether an e-mail address is one of theirs, in whatever unit.
    pub fn has_in_another_unit(&self, email: &str) -> bool {
        self.addresses
            .iter()
            .any(|address| same_but_for_case(&address.email, email))
    }

    fn has_address(&self, email: &str, unit: &str) -> bool {
        let mut of_the_unit = self.addresses.iter().filter(|address| address.unit == unit);
        of_the_unit.any(|address| same_but_for_case(&address.email, email))
    }
}

/// Whether two e-mail addresses are the same, but for upper and lower case.
pub(crate) fn same_but_for_case(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || !(one.is_ascii() && other.is_ascii()) && one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_meant_and_who_is_not() {
        let check = |whom: &Whom, id, email, unit, expect| {
            assert_eq!(whom.is(id, email, unit), expect, "{id:?} {email:?} {unit:?}");
        };
        let ana = Whom::by_address("Ana@Example.com", "shop");
        check(&ana, None, Some("ana@example.COM"), Some("shop"), true);
        check(&ana, Some("u-1"), Some("ana@example.com"), Some("shop"), true);
        check(&ana, None, Some("ana@example.com"), Some("b2b"), false);
        check(&ana, None, Some("ana@example.com"), None, false);
        check(&ana, Some("ana@example.com"), None, None, false);
        let jörg = Whom::by_address("JÖRG@example.com", "");
        check(&jörg, None, Some("jörg@example.com"), None, true);
        check(&jörg, None, Some("jörg@example.com"), Some(""), true);
        let by_id = Whom::by_id("u-1");
        check(&by_id, Some("u-1"), None, None, true);
        check(&by_id, Some("U-1"), None, None, false);
        check(&by_id, Some("u-11"), Some("u-1"), None, false);
        check(&Whom::default(), None, None, None, false);
    }

    #[test]
    fn texts_that_name_them() {
        let whom = Whom {
            ids: vec!["7".to_owned()],
            ..Whom::by_address("ana@example.com", "")
        };
        for (text, expect) in [
            ("`ANA@example.com` is not it", true),
            ("found \"7\"", true),
            ("found `7`", true),
            ("entry 7 of 17", false),
        ] {
            assert_eq!(whom.is_named_in(text), expect, "{text}");
        }
    }
}
