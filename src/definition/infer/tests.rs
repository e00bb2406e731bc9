//! Samples, and what is drafted from them. Whatever the sample, its draft is sound, and the sample passes it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Draft, Seen};
use crate::definition::{DefinitionFile, Definitions, Holder, UnknownEvents};
use crate::feed::{self, DuplicateKeys, Options, Walk};

const OPTIONS: Options = Options {
    default_business_unit: None,
    duplicate_keys: DuplicateKeys::Reject,
    entry_bytes_max: 1 << 24,
    depth_max: 128,
    kind: crate::verdict::FeedKind::Events,
    ordered_items: false,
    order_unique: false,
};

/// Calls `look` with each entry of a feed that an import would accept: its name, id, e-mail address and text.
fn accepted(feed: &str, mut look: impl FnMut(&str, Option<&str>, Option<&str>, &str)) {
    let mut walk = Walk::new(feed.as_bytes(), &OPTIONS);
    while let Some(entry) = walk.next().expect("a feed") {
        if feed::weigh(&entry, &OPTIONS).rejected().is_none() {
            let keys = feed::extract(&entry, &OPTIONS);
            look(&keys.event, keys.id.as_deref(), keys.email.as_deref(), entry.raw);
        }
    }
}

fn drafts(feed: &str) -> Vec<Draft> {
    let mut seen = Seen::new();
    accepted(feed, |event, id, email, entry| seen.see(event, id, email, entry));
    seen.drafts()
}

fn definitions(drafts: &[Draft]) -> Definitions {
    let all: Vec<&Value> = drafts.iter().map(|draft| &draft.definition).collect();
    let file = DefinitionFile {
        name: "draft.json".to_owned(),
        text: serde_json::to_string_pretty(&all).expect("JSON"),
    };
    Definitions::parse(&[file], &[]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// Holds a feed against its own draft; `Err` names the entry that breaks it.
fn holds(feed: &str) -> Result<(), String> {
    let drafts = drafts(feed);
    let definitions = definitions(&drafts);
    let mut holder = Holder::new(&definitions, UnknownEvents::Reject);
    let mut broken = Ok(());
    accepted(feed, |event, _, _, entry| {
        if let Some(code) = holder.hold(entry, event).broken()
            && broken.is_ok()
        {
            broken = Err(format!("{code}: {entry}\n{:#?}", drafts[0].definition));
        }
    });
    broken
}

/// The fields of the only draft: name, type, attributes that are set, path.
fn fields(draft: &Draft) -> Vec<String> {
    let paths = &draft.definition["feed"]["fields"];
    let fields = draft.definition["fields"].as_array().expect("fields").iter();
    fields
        .map(|field| {
            let attributes = field["attributes"].as_object().expect("attributes").keys();
            let name = field["name"].as_str().expect("a name");
            let path = paths[name].as_str().map(|path| format!("< {path}"));
            let kind = field["type"].as_str().expect("a type").to_owned();
            let words = [format!("{name}:"), kind]
                .into_iter()
                .chain(attributes.cloned())
                .chain(path);
            words.collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn only(feed: &str) -> Draft {
    holds(feed).unwrap_or_else(|broken| panic!("{broken}"));
    let mut drafts = drafts(feed);
    assert_eq!(drafts.len(), 1);
    drafts.remove(0)
}

#[test]
fn an_order() {
    let feed = r#"[
        {"event":"Completed Order","id":"u1","timestamp":"2024-05-22T22:00:00Z","orderId":"1","total":46.13,"gift":true,
         "placed":"2024-05-22","cart":{"currency":"EUR","products":[{"sku":"A","quantity":1,"price":10.99},{"sku":"B","quantity":2,"price":17}]}},
        {"event":"completed order","id":2,"orderId":"2","total":5,"cart":{"currency":"EUR","products":[{"sku":"A","quantity":1}]},
         "placed":"2024-05-23T01:02:03Z","coupon":null,"note":" "}]"#;
    let draft = only(feed);
    assert_eq!(draft.event_name, "completedOrder");
    assert_eq!(
        draft.definition["feed"]["event"],
        json!(["Completed Order", "completed order"])
    );
    assert_eq!(
        fields(&draft),
        [
            "customer: customer isRequired identifierType",
            "orderId: string isRequired isUniqueKeyField",
            "total: double isRequired",
            "gift: boolean",
            "placed: date isRequired",
            "cartCurrency: string isRequired < cart.currency",
            "cartProductsSku: string isRequired < cart.products[].sku",
            "cartProductsQuantity: integer isRequired < cart.products[].quantity",
            "cartProductsPrice: double < cart.products[].price",
        ]
    );
    assert!(
        draft
            .remarks
            .iter()
            .any(|remark| remark.contains("`orderId` is always there")),
        "{:?}",
        draft.remarks
    );
    let seen: Vec<(&str, &str, u64, u64, &str)> = draft
        .fields
        .iter()
        .map(|field| (&*field.path, &*field.types, field.there, field.of, &*field.distinct))
        .collect();
    assert_eq!(seen[1], ("total", "integer, number", 2, 2, "2"));
    assert_eq!(seen[5], ("cart.products[].sku", "text", 3, 3, "2"));
}

#[test]
fn a_few_texts_that_come_again_and_again_are_an_enumeration() {
    let entries: Vec<String> = (0..120)
        .map(|n| {
            format!(
                r#"{{"event":"e","id":"u{n}","status":"{}","free":"x{n}"}}"#,
                ["new", "paid", "sent"][n % 3]
            )
        })
        .collect();
    let draft = only(&format!("[{}]", entries.join(",")));
    let status = &draft.definition["fields"][1];
    assert_eq!((&status["name"], &status["type"]), (&json!("status"), &json!("enum")));
    assert_eq!(
        status["attributes"]["possibleValues"]["values"],
        json!(["new", "paid", "sent"])
    );
    assert_eq!(draft.definition["fields"][2]["type"], "string");
    let few = only(r#"[{"event":"e","id":"u","status":"new"},{"event":"e","id":"u","status":"new"}]"#);
    assert_eq!(few.definition["fields"][1]["type"], "string", "two are too few to tell");
}

#[test]
fn what_no_field_can_take_is_left_out_and_said() {
    let draft = only(
        r#"[{"event":"e","id":"u","a":1,"b":{"c":1},"d":1e400,"f":"\ud83d","g":[{"h":1},2]},
            {"event":"e","id":"u","a":"1","b":"no","d":1,"f":"x","g":[]}]"#,
    );
    assert_eq!(fields(&draft), ["customer: customer isRequired identifierType"]);
    for (path, why) in [
        ("`a`", "several types"),
        ("`b`", "an object or an array in some"),
        ("`d`", "larger than any field holds"),
        ("`f`", "half of a character"),
        ("`g[]`", "an object or an array in some"),
    ] {
        let is_said = draft
            .remarks
            .iter()
            .any(|remark| remark.starts_with(path) && remark.contains(why));
        assert!(is_said, "{path}: {:?}", draft.remarks);
    }
}

#[test]
fn a_definition_has_at_most_twenty_fields() {
    let members: Vec<String> = (0..30).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let feed = format!(
        r#"[{{"event":"e","id":"u",{}}},{{"event":"e","id":"u","k29":1}}]"#,
        members.join(",")
    );
    let draft = only(&feed);
    let fields = fields(&draft);
    assert_eq!(fields.len(), 20);
    assert_eq!(fields[19], "k29: integer isRequired", "what is always there goes first");
    let left_out = draft
        .remarks
        .iter()
        .filter(|remark| remark.contains("at most 20"))
        .count();
    assert_eq!(left_out, 11, "{:?}", draft.remarks);
}

#[test]
fn by_what_customers_are_known() {
    let check = |feed: &str, identifier: &str, is_required: bool| {
        let draft = only(feed);
        let customer = &draft.definition["fields"][0]["attributes"];
        assert_eq!(customer["identifierType"]["value"], identifier, "{feed}");
        assert_eq!(customer["isRequired"].is_object(), is_required, "{feed}");
        assert_eq!(draft.remarks.is_empty(), is_required, "{feed}");
    };
    let mail = |n: u64| format!(r#"{{"event":"e","email":"a{n}@example.com","businessUnit":"DE"}}"#);
    check(r#"[{"event":"e","id":"u"},{"event":"e","id":7}]"#, "externalId", true);
    check(&format!("[{},{}]", mail(1), mail(2)), "email", true);
    check(
        &format!(r#"[{},{},{{"event":"e","id":"u"}}]"#, mail(1), mail(2)),
        "email",
        false,
    );
}

#[test]
fn what_may_be_sensitive_is_named() {
    let draft = only(
        r#"[{"event":"e","id":"u","firstName":"Ada","home":{"zipCode":"1"},"lat":1.5,"plate":"x","productName":"y"}]"#,
    );
    let remark = draft.remarks.last().expect("a remark");
    assert!(remark.contains("firstName, home.zipCode, lat;"), "{remark}");
    assert!(
        draft.definition["description"]
            .as_str()
            .is_some_and(|text| text.contains("isPsiData"))
    );
}

#[test]
fn a_hostile_sample_stays_within_bounds() {
    let mut seen = Seen::new();
    for n in 0..500 {
        seen.see(&format!("event {n}"), Some("u"), None, r#"{"a":1}"#);
    }
    assert_eq!((seen.drafts().len(), seen.passed_over), (200, 300));
    let mut seen = Seen::new();
    for n in 0..100 {
        let members: Vec<String> = (0..1_000).map(|m| format!(r#""k{n}x{m}":"{m}""#)).collect();
        seen.see("e", Some("u"), None, &format!("{{{}}}", members.join(",")));
    }
    let draft = seen.drafts().remove(0);
    assert_eq!(draft.fields.len(), 20_000);
    assert!(draft.remarks.iter().any(|remark| remark.contains("were not looked at")));
    let deep = format!(r#"{{"a":{}1{}}}"#, r#"{"a":"#.repeat(60), "}".repeat(60));
    let mut seen = Seen::new();
    seen.see("e", Some("u"), None, &deep);
    assert_eq!(seen.drafts().remove(0).fields.len(), 0);
}

/// A JSON value, of few keys and few values, so that they meet.
fn any_value(depth: u32) -> BoxedStrategy<String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        prop::sample::select(vec![
            "true",
            "1",
            "-7",
            "1.5",
            "1e3",
            "1E400",
            "9223372036854775808",
            "0.0"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            r#""""#,
            r#"" ""#,
            r#""x""#,
            r#""2024-05-22""#,
            r#""2024-05-22 10:00:00""#,
            r#""\ud83d""#,
            r#""a\u0000b""#,
            r#""7""#,
            r#""a,b""#,
            r#""\u0061""#,
        ])
        .prop_map(str::to_owned),
    ];
    if depth == 0 {
        return scalar.boxed();
    }
    prop_oneof![
        4 => scalar,
        1 => any_members(depth - 1, 4).prop_map(|members| format!("{{{members}}}")),
        1 => prop::collection::vec(any_value(depth - 1), 0..4).prop_map(|all| format!("[{}]", all.join(" , "))),
    ]
    .boxed()
}

fn any_members(depth: u32, most: usize) -> BoxedStrategy<String> {
    let key = prop::sample::select(vec![
        "a",
        "b",
        "order id",
        "orderId",
        "order_id",
        "a.b",
        "x[]",
        "",
        "customer",
        "event_name",
        "ключ",
        "\\u0061",
        "email",
        "id",
    ]);
    let member = (key, any_value(depth)).prop_map(|(key, value)| format!("\"{key}\": {value}"));
    prop::collection::vec(member, 0..most)
        .prop_map(|members| members.join(", "))
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever the sample: its draft is sound, and the sample passes it.
    #[test]
    fn a_sample_passes_its_own_draft(
        entries in prop::collection::vec((
            prop::sample::select(vec!["Completed Order", "completed order", "Größe", "!", "Viewed"]),
            any_members(3, 8),
            prop::option::of(any::<bool>()),
        ), 1..12),
        again in prop::sample::select(vec![1_usize, 30]),
    ) {
        let entries: Vec<String> = entries
            .into_iter()
            .map(|(event, members, identity)| {
                let who = match identity {
                    Some(true) => r#""id":"u1""#,
                    Some(false) => r#""email":"ada@example.com","businessUnit":"DE""#,
                    None => r#""id":7,"email":"ada@example.com""#,
                };
                let comma = if members.is_empty() { "" } else { "," };
                format!(r#"{{"event":"{event}",{who}{comma}{members}}}"#)
            })
            .collect();
        // Many of a kind make enumerations of texts.
        let entries: Vec<String> = entries.iter().cycle().take(entries.len() * again).cloned().collect();
        let feed = format!("[{}]", entries.join(",\n"));
        let all = drafts(&feed);
        if !all.is_empty() {
            prop_assert!(holds(&feed).is_ok(), "{}", holds(&feed).unwrap_err());
        }
    }
}
