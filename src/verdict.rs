//! What there is to say of an archive and of an entry: the codes, the places, the words for them.
//!
//! The vocabulary that `archive`, `feed` and `intake` speak, the ledger stores and receipts print. Codes are stable:
//! partners' programs match on them. What a code means for the partner and how to mend it stands in `receipt`.

use serde::{Deserialize, Serialize};

/// A place in a data file. Bytes and entry indices count from 0, lines and columns from 1; a column is a code point, a
/// byte-order mark counts in bytes only, and lines end at LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u64,
    /// Column in code points, from 1.
    pub column: u64,
    /// Offset in bytes from the start of the data file.
    pub byte: u64,
}

/// What follows from a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The archive's name is wrong: nothing is imported.
    Name,
    /// The zip is packed otherwise than the rules say: imported all the same where packaging is lenient.
    Packaging,
    /// The archive or its data cannot be read whole: nothing is imported.
    Fault,
    /// Too few of its entries were valid: nothing is imported.
    Budget,
}

/// Declares an enum of codes with their stable spelling.
macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every code, in the order of the specification.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The stable spelling, as receipts and logs have it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// The code of this spelling.
            pub fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                $name::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("no such code: `{text}`")))
            }
        }
    };
}

codes! {
    /// What a file in the root is one of, by its name (specification, sections 4 and 10).
    FeedKind {
        /// An archive of the event feed.
        Events = "events",
        /// An archive of the order feed.
        Orders = "orders",
        /// The file of a user feed that says what its columns are.
        Header = "header",
        /// The file of a user feed that holds the people.
        Users = "users",
    }
}

impl Default for FeedKind {
    /// What everything was before there were other feeds.
    fn default() -> FeedKind {
        FeedKind::Events
    }
}

impl FeedKind {
    /// Whether it is one of the two files of a user feed.
    pub fn is_user_feed(self) -> bool {
        matches!(self, FeedKind::Header | FeedKind::Users)
    }
}

codes! {
    /// An archive rule that was not observed (specification, section 4).
    ViolationCode {
        /// Begins as a feed's name does, with `event_history` say, but is not of the form.
        NameMalformed = "name_malformed",
        /// The digits in the name are no real UTC time.
        NameTimestamp = "name_timestamp",
        /// The zip holds no file, or more than one.
        NotOneFile = "not_one_file",
        /// The data file's name is not the archive's name without `.zip`.
        MemberName = "member_name",
        /// The upload never became whole.
        ZipTruncated = "zip_truncated",
        /// Not a zip, or a damaged one.
        ZipUnreadable = "zip_unreadable",
        /// The data file is encrypted.
        ZipEncrypted = "zip_encrypted",
        /// A compression that is not supported, or one that needs a window over 8 MiB.
        ZipMethod = "zip_method",
        /// The data does not have the CRC-32 that the zip declares.
        ZipChecksum = "zip_checksum",
        /// Local header and central directory disagree, or entries overlap.
        ZipInconsistent = "zip_inconsistent",
        /// Over the size limit, packed or unpacked.
        TooLarge = "too_large",
        /// Unpacks to more times its size than the limit allows.
        Ratio = "ratio",
        /// Not UTF-8.
        Encoding = "encoding",
        /// Not JSON.
        JsonSyntax = "json_syntax",
        /// The root is not an array.
        NotAnArray = "not_an_array",
        /// Something follows the array.
        TrailingContent = "trailing_content",
        /// Nested deeper than the limit.
        Depth = "depth",
        /// One entry over the limit.
        EntryTooLarge = "entry_too_large",
        /// No entry was valid.
        AllRejected = "all_rejected",
        /// More rejects than the source allows.
        TooManyRejected = "too_many_rejected",
        /// One of the two files of a user feed, and the other never came.
        UserFeedHalf = "user_feed_half",
        /// The header of a user feed does not say what its columns are.
        UserFeedHeader = "user_feed_header",
        /// The other file of this user feed is at fault, and neither is of use alone.
        UserFeedOther = "user_feed_other",
    }
}

impl ViolationCode {
    /// What follows from it.
    pub fn class(self) -> Class {
        use ViolationCode::*;
        match self {
            NameMalformed | NameTimestamp => Class::Name,
            NotOneFile | MemberName => Class::Packaging,
            AllRejected | TooManyRejected => Class::Budget,
            _ => Class::Fault,
        }
    }
}

/// An archive rule that was not observed: which, how, and where in the data file if it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule.
    pub code: ViolationCode,
    /// What was found, in a sentence for the partner. Nothing in it is unescaped.
    pub detail: String,
    /// Where in the data file, for faults of the JSON.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
    /// Index of the entry the fault lies in, where it lies in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The text around the place, control characters escaped, at most about 80 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

impl Violation {
    /// A violation that has no place in the data file.
    pub fn new(code: ViolationCode, detail: impl Into<String>) -> Violation {
        Violation {
            code,
            detail: detail.into(),
            at: None,
            entry: None,
            excerpt: None,
        }
    }
}

codes! {
    /// Why an entry was rejected (specification, section 5).
    RejectCode {
        /// The element is not an object.
        NotAnObject = "not_an_object",
        /// `event` is absent or null.
        EventMissing = "event_missing",
        /// `event` is not a string, is blank, or is too long.
        EventInvalid = "event_invalid",
        /// Neither `id` nor both `email` and `businessUnit`.
        IdentityMissing = "identity_missing",
        /// `id` is of another type or too long.
        IdInvalid = "id_invalid",
        /// `email` is of another type, too long or no address.
        EmailInvalid = "email_invalid",
        /// `businessUnit` is of another type or too long.
        BusinessUnitInvalid = "business_unit_invalid",
        /// `timestamp` is none of the known forms.
        TimestampInvalid = "timestamp_invalid",
        /// One of the keys that are looked at is there twice with different values.
        DuplicateKey = "duplicate_key",
        /// A field that the event's definition requires is absent, null or blank.
        DefinitionFieldMissing = "definition_field_missing",
        /// A field is of another type than the definition says.
        DefinitionFieldType = "definition_field_type",
        /// A field's value is not one that the definition allows.
        DefinitionValue = "definition_value",
        /// No definition is for this event, and the operator wants one for each.
        DefinitionUnknownEvent = "definition_unknown_event",
        /// An order without `orderId`.
        OrderIdMissing = "order_id_missing",
        /// `orderId` is neither a text nor an integer, is blank, or is too long.
        OrderIdInvalid = "order_id_invalid",
        /// An order without `timestamp`.
        TimestampMissing = "timestamp_missing",
        /// A completed order without `total`.
        TotalMissing = "total_missing",
        /// `total` is no number.
        TotalInvalid = "total_invalid",
        /// `shipping` is no number.
        ShippingInvalid = "shipping_invalid",
        /// `discount` is no number.
        DiscountInvalid = "discount_invalid",
        /// `coupon` is no text.
        CouponInvalid = "coupon_invalid",
        /// `currency` is no text.
        CurrencyInvalid = "currency_invalid",
        /// More products in an order than items are made of.
        ItemsTooMany = "items_too_many",
        /// A user without `id`.
        UserIdMissing = "user_id_missing",
        /// A user has a value that the header names no column for.
        UserColumnUnknown = "user_column_unknown",
        /// A column that may not be empty is.
        UserValueMissing = "user_value_missing",
        /// A value is not of its column's type.
        UserValueType = "user_value_type",
        /// A text of more than 16 KiB.
        UserValueTooLong = "user_value_too_long",
        /// A user of more than 1 MiB.
        UserTooLarge = "user_too_large",
        /// Values nested more than two levels deep, or more than 30 nested fields.
        UserNesting = "user_nesting",
    }
}

/// One reason why an entry was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which rule.
    pub code: RejectCode,
    /// JSON Pointer (RFC 6901) within the entry: `/email`; empty for the entry itself.
    pub pointer: String,
    /// What was found and what is wanted, in a sentence; e-mails and ids are masked.
    pub message: String,
    /// Where the offending value (for `duplicate_key`: the second key) begins; the entry's place where there is none.
    pub at: Position,
}

/// An entry that was not accepted, with reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Index in the array, from 0.
    pub index: u64,
    /// Where the entry begins.
    pub at: Position,
    /// Why; the first is the one to mend first. Never empty.
    pub reasons: Vec<Reason>,
    /// The entry's text, shortened, `email` and `id` masked, control characters escaped.
    pub excerpt: String,
}

codes! {
    /// Something odd about an accepted entry.
    WarningCode {
        /// `id` is an integer and was taken as its text.
        IdNumber = "id_number",
        /// Beside a valid `id`, the e-mail is no address: it is no identity.
        EmailInvalid = "email_invalid",
        /// Beside a valid `id`, the business unit is of another type or too long: it is no identity.
        BusinessUnitInvalid = "business_unit_invalid",
        /// One of the keys that are looked at is there twice with equal values, or with different ones where the policy is
        /// `last`.
        DuplicateKey = "duplicate_key",
        /// The same event was seen before, by its unique key: it is kept, and not delivered.
        DuplicateEvent = "duplicate_event",
        /// `orderId` is an integer and was taken as its text.
        OrderIdNumber = "order_id_number",
        /// `total` is another amount than `cart.total`.
        TotalDiffers = "total_differs",
    }
}

/// Something odd about an accepted entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Index in the array, from 0.
    pub index: u64,
    /// Where the entry begins.
    #[serde(flatten)]
    pub at: Position,
    /// What is odd.
    pub code: WarningCode,
    /// JSON Pointer within the entry.
    pub pointer: String,
    /// The same in a sentence, masked.
    pub message: String,
}
