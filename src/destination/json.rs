//! Writing JSON: values as they are spelt elsewhere, texts escaped.
//!
//! By hand, since a value that is to stay as it is spelt must not pass through a parser's idea of it.

use std::fmt::Display;

/// An object that is being written.
pub(super) struct Object<'a> {
    into: &'a mut String,
    is_empty: bool,
}

impl Object<'_> {
    /// Begins an object.
    pub(super) fn begin(into: &mut String) -> Object<'_> {
        into.push('{');
        Object { into, is_empty: true }
    }

    /// A member whose value is JSON already.
    pub(super) fn json(&mut self, name: &str, json: &str) {
        self.name(name);
        self.into.push_str(json);
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        push_text(self.into, text);
    }

    /// A member that is a string, from what can be displayed.
    pub(super) fn display(&mut self, name: &str, value: impl Display) {
        self.text(name, &value.to_string());
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        let mut object = Object::begin(self.into);
        write(&mut object);
        object.end();
    }

    /// A member that is an array, of elements that are JSON already.
    pub(super) fn array<'e>(&mut self, name: &str, elements: impl Iterator<Item = &'e str>) {
        self.name(name);
        self.into.push('[');
        for (index, element) in elements.enumerate() {
            if index > 0 {
                self.into.push(',');
            }
            self.into.push_str(element);
        }
        self.into.push(']');
    }

    /// A member that is an array of objects.
    pub(super) fn objects<T>(
        &mut self,
        name: &str,
        elements: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Object<'_>, T),
    ) {
        self.name(name);
        self.into.push('[');
        for (index, element) in elements.into_iter().enumerate() {
            if index > 0 {
                self.into.push(',');
            }
            let mut object = Object::begin(self.into);
            write(&mut object, element);
            object.end();
        }
        self.into.push(']');
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.into.push('}');
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.into.push(',');
        }
        self.is_empty = false;
        push_text(self.into, name);
        self.into.push(':');
    }
}

/// Appends a JSON string.
pub(super) fn push_text(into: &mut String, text: &str) {
    into.push('"');
    for char in text.chars() {
        match char {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\0'..' ' => into.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => into.push(char),
        }
    }
    into.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        for text in ["", "a", "\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}\u{2028}é😀"] {
            let mut json = String::new();
            push_text(&mut json, text);
            assert_eq!(serde_json::from_str::<String>(&json).expect("a string"), text, "{json}");
        }
    }

    #[test]
    fn objects() {
        let mut json = String::new();
        let mut object = Object::begin(&mut json);
        object.json("a", "5.00");
        object.text("b", "x\"");
        object.object("c", |_| ());
        object.objects("d", [1, 2], |object, n| object.display("n", n));
        object.objects("e", [(); 0], |_, ()| ());
        object.array("f", ["1.0", "null"].into_iter());
        object.end();
        assert_eq!(
            json,
            r#"{"a":5.00,"b":"x\"","c":{},"d":[{"n":"1"},{"n":"2"}],"e":[],"f":[1.0,null]}"#
        );
    }
}
