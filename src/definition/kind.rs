//! The types of fields and the sorts of customer identifiers, as the vendor spells them.
//!
//! He writes `productSku` when a definition is sent and `PRODUCT_SKU` when it is read back: names are compared by their
//! letters and digits alone.

/// Declares an enum of the vendor's words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in the vendor's order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// As the vendor writes it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The one of this name, whatever its case and what stands between its letters.
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|one| same_letters(one.as_str(), text))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a field holds.
    FieldType {
        /// A shop's till.
        TillCode = "tillCode",
        /// A coupon's code.
        CouponCode = "couponCode",
        /// Whose event it is.
        Customer = "customer",
        /// A product's number.
        ProductSku = "productSku",
        /// A product's brand.
        ProductBrand = "productBrand",
        /// A product's category.
        ProductCategory = "productCategory",
        /// A text.
        String = "string",
        /// A number.
        Double = "double",
        /// One of a few texts.
        Enum = "enum",
        /// A date, or a time.
        Date = "date",
        /// True or false.
        Boolean = "boolean",
        /// A whole number.
        Integer = "integer",
        /// A group of customers.
        GroupId = "groupId",
        /// A currency's ISO code.
        CurrencyCode = "currencyCode",
    }
}

impl FieldType {
    /// What an entry has to give for it, as a noun.
    pub fn wanted(self) -> &'static str {
        match self {
            FieldType::Double => "a number",
            FieldType::Integer => "a number without fraction and exponent",
            FieldType::Boolean => "`true` or `false`, without quotation marks",
            FieldType::Date => "a date or a time, as a text",
            FieldType::Customer => "a text, or an integer,",
            FieldType::CurrencyCode => "a text of three capital letters",
            FieldType::Enum => "one of the possible texts",
            _ => "a text",
        }
    }

    /// Whether the vendor lets a field of this type be sensitive.
    pub fn may_be_sensitive(self) -> bool {
        matches!(self, FieldType::Enum | FieldType::String | FieldType::Double)
    }
}

words! {
    /// By what a customer is known.
    IdentifierType {
        /// The vendor's own number.
        UserId = "userId",
        /// Telephone number.
        Mobile = "mobile",
        /// E-mail address.
        Email = "email",
        /// The number in the sender's warehouse: `id` in feeds.
        ExternalId = "externalId",
        /// WeChat.
        Wechat = "wechat",
        /// Martjack.
        MartjackId = "martjackId",
        /// Customer unique id.
        Cuid = "cuid",
        /// Facebook.
        Fbid = "fbid",
        /// WeChat's union id.
        UnionId = "unionId",
        /// A device's token for messages.
        FcmToken = "fcmToken",
        /// Line.
        Line = "line",
        /// A loyalty card's number.
        Cardnumber = "cardnumber",
        /// A loyalty card's outer number.
        CardExternalId = "cardExternalId",
    }
}

impl IdentifierType {
    /// The key of an entry that holds it, unless the definition says otherwise.
    pub fn key(self) -> &'static str {
        match self {
            IdentifierType::ExternalId | IdentifierType::UserId | IdentifierType::Cuid => "id",
            other => other.as_str(),
        }
    }
}

/// Whether two names have the same letters and digits, whatever their case and what stands between.
pub(super) fn same_letters(one: &str, other: &str) -> bool {
    // Nearly all are ASCII, and then this is told without a look at Unicode's tables.
    if one.is_ascii() && other.is_ascii() {
        return ascii_letters(one).eq(ascii_letters(other));
    }
    letters(one).eq(letters(other))
}

/// The letters and digits of a name, in lower case: for a look-up.
pub(super) fn letters(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|letter| letter.is_alphanumeric())
        .flat_map(char::to_lowercase)
}

fn ascii_letters(text: &str) -> impl Iterator<Item = u8> {
    let letters = text.bytes().filter(u8::is_ascii_alphanumeric);
    letters.map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_their_letters() {
        let check = |text: &str, expect: Option<FieldType>| assert_eq!(FieldType::parse(text), expect, "{text}");
        check("productSku", Some(FieldType::ProductSku));
        check("PRODUCT_SKU", Some(FieldType::ProductSku));
        check("STRING", Some(FieldType::String));
        check("Group Id", Some(FieldType::GroupId));
        check("float", None);
        check("", None);
    }

    #[test]
    fn names_of_feeds_meet_names_of_definitions() {
        let check = |one: &str, other: &str, expect| assert_eq!(same_letters(one, other), expect, "{one} {other}");
        check("Completed Order", "completedOrder", true);
        check("Hotel Booking", "hotel_booking", true);
        check("Größe geändert", "größeGeändert", true);
        check("Completed Orders", "completedOrder", false);
    }
}
