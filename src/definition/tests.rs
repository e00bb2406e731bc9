//! Definitions as they are written and refused, and entries held against them.

use super::*;
use crate::feed::{DuplicateKeys, Options, Walk};

/// The vendor's shape, as his pages have it.
const HOTEL: &str = r#"{"eventName":"hotel_booking","description":"A stay was booked",
 "actions":["EMFConsumer","EIConsumer"],
 "fields":[
   {"name":"customer","type":"customer","attributes":{
      "addCustomerIfNotExists":{"value":"true","valueType":"Boolean"},
      "isRequired":{"value":"true","valueType":"Boolean"},
      "identifierType":{"value":"mobile","valueType":"Enum"}}},
   {"name":"booking_id","type":"string","attributes":{
      "isRequired":{"value":"true","valueType":"Boolean"},
      "isUniqueKeyField":{"value":"true","valueType":"Boolean"}}},
   {"name":"age","type":"double","attributes":{
      "isPsiData":{"value":"true","valueType":"Boolean"}}}]}"#;

const CUSTOMER: &str =
    r#"{"name":"customer","type":"customer","attributes":{"identifierType":{"value":"externalId"}}}"#;

fn parse(text: &str) -> Result<Definitions, Vec<Problem>> {
    let file = DefinitionFile {
        name: "a.json".to_owned(),
        text: text.to_owned(),
    };
    Definitions::parse(&[file], &["crm".to_owned()])
}

fn sound(text: &str) -> Definitions {
    parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:#?}"))
}

/// A definition of `x` with a customer and these fields, and a `feed` if there is one.
fn with(fields: &str, feed: &str) -> String {
    let feed = match feed {
        "" => String::new(),
        feed => format!(r#","feed":{feed}"#),
    };
    format!(r#"{{"eventName":"x","actions":["EIConsumer"],"fields":[{CUSTOMER}{fields}]{feed}}}"#)
}

/// A field of this type with these attributes.
fn field(kind: &str, attributes: &str) -> String {
    format!(r#",{{"name":"f","type":"{kind}","attributes":{{{attributes}}}}}"#)
}

#[test]
fn the_vendors_example_is_sound() {
    let definitions = sound(HOTEL);
    assert_eq!(definitions.warnings(), []);
    let hotel = definitions.of("Hotel Booking").expect("by its letters");
    assert_eq!(hotel.event_name, "hotel_booking");
    let customer = hotel.customer().unwrap();
    assert_eq!(
        (customer.path.to_string().as_str(), customer.add_customer),
        ("mobile", true)
    );
    assert!(hotel.has_unique_key() && hotel.fields[1].required);
    assert!(definitions.sensitive().covers("age") && definitions.sensitive().covers("mobile"));
    assert!(definitions.of("Hotel Bookings").is_none());
}

#[test]
fn what_is_frozen_is_what_was_read_however_it_was_written() {
    let rich = with(
        &(field(
            "STRING",
            r#""regex":{"value":"[A-Z]+"},"source":{"value":"s","valueType":"String"}"#,
        ) + r#",{"name":"state","type":"ENUM","attributes":{"isRequired":true,"possibleValues":{"valueType":"LIST","values":["new","a,b"]}}}"#),
        r#"{"event":["Completed Order","Order"],"fields":{"f":"cart.products[].sku","customer":"who.id"}}"#,
    );
    for text in [HOTEL, &rich, &format!("[{HOTEL},{rich}]")] {
        let read = sound(text);
        let frozen = Definitions::frozen(read.canonical()).expect("its own text");
        assert_eq!((frozen.canonical(), frozen.hash()), (read.canonical(), read.hash()));
        assert_eq!(frozen.sensitive(), read.sensitive());
    }
    let other = HOTEL
        .replace("\"true\"", "true")
        .replace("double", "DOUBLE")
        .replace('\n', " ");
    assert_eq!(sound(&other).hash(), sound(HOTEL).hash());
    assert_ne!(sound(&HOTEL.replace("age", "years")).hash(), sound(HOTEL).hash());
}

#[test]
fn each_problem_has_the_vendors_code_and_a_place() {
    let check = |text: &str, expect: &str| {
        let problems = parse(text).expect_err(text);
        let outline: Vec<String> = problems
            .iter()
            .map(|problem| {
                assert!(
                    !problem.hint.is_empty() && problem.line > 0 && problem.column > 0,
                    "{problem:?}"
                );
                let code = problem.code.map_or("-".to_owned(), |code| code.to_string());
                format!("{code} {}", problem.pointer)
            })
            .collect();
        assert_eq!(outline.join("; "), expect, "{text}\n{problems:#?}");
    };
    let odd_name = |name: &str| HOTEL.replace("hotel_booking", name);
    check(&odd_name("hotel booking"), "1811 /eventName");
    check(&odd_name("hotel-booking"), "1811 /eventName");
    check(&odd_name("  "), "1811 /eventName");
    check(
        &HOTEL.replace("\"eventName\":\"hotel_booking\"", "\"eventName\":7"),
        "1811 /eventName",
    );
    check(&HOTEL.replace("EMFConsumer", "EMFConsumr"), "1810 /actions/0");
    check(&HOTEL.replace(r#"["EMFConsumer","EIConsumer"]"#, "[]"), "1810 /actions");
    check(
        &HOTEL.replace("\"actions\":[\"EMFConsumer\",\"EIConsumer\"],", ""),
        "1810 ",
    );
    check(&HOTEL.replace("\"double\"", "\"float\""), "1823 /fields/2/type");
    check(&HOTEL.replace("\"type\":\"double\",", ""), "1823 /fields/2");
    check(
        &HOTEL.replace("\"mobile\"", "\"phone\""),
        "1802 /fields/0/attributes/identifierType/value",
    );
    check(
        &HOTEL.replace("isPsiData", "isPsidata"),
        "1802 /fields/2/attributes/isPsidata",
    );
    check(&HOTEL.replace("\"booking_id\"", "\"age\""), "1802 /fields/2");
    check(
        &HOTEL.replace("\"booking_id\"", "\"booking id\""),
        "1802 /fields/1/name",
    );
    check(
        &HOTEL.replace("\"booking_id\"", &format!("\"{}\"", "a".repeat(51))),
        "1802 /fields/1/name",
    );
    check(
        &HOTEL.replace("\"type\":\"customer\"", "\"type\":\"string\""),
        "1802 /fields",
    );
    check(&format!("[{HOTEL},{HOTEL}]"), "1806 /1/eventName");
    check(&format!("[{HOTEL},{}]", odd_name("hotelBooking")), "1806 /1/eventName");
    check("[7]", "1802 /0");
    check("true", "1802 ");
    check("{\"eventName\": \"a\",\n }", "- ");
    // All of them at once.
    check(
        "{\"eventName\":\"a b\",\"actions\":[\"X\"],\"fields\":[{\"name\":\"n\",\"type\":\"t\"}]}",
        "1811 /eventName; 1810 /actions/0; 1823 /fields/0/type",
    );

    let many: String = (0..20)
        .map(|n| format!(r#",{{"name":"f{n}","type":"string"}}"#))
        .collect();
    check(&with(&many, ""), "1802 /fields");
    check(
        &with(
            &field("customer", r#""isPsiData":true,"identifierType":{"value":"email"}"#),
            "",
        ),
        "1802 /fields/1",
    );
    check(&with(&field("productSku", r#""isPsiData":true"#), ""), "1802 /fields/1");
    check(&with(&field("enum", ""), ""), "1802 /fields/1");
    check(
        &with(&field("string", r#""isRequired":{"value":"yes"}"#), ""),
        "1802 /fields/1/attributes/isRequired/value",
    );
    check(
        &with(&field("string", r#""regex":{"value":"a)|(b"}"#), ""),
        "1802 /fields/1/attributes/regex/value",
    );
    check(
        &with(&field("string", r#""regex":{"value":"(((a{99}){99}){99})"}"#), ""),
        "1802 /fields/1/attributes/regex/value",
    );
    check(
        &with(&field("enum", r#""possibleValues":{"value":"a,,a"}"#), ""),
        "1802 /fields/1/attributes/possibleValues/value; 1802 /fields/1/attributes/possibleValues/value",
    );
    check(
        &with(&field("string", ""), r#"{"fields":{"g":"a"}}"#),
        "- /feed/fields/g",
    );
    check(
        &with(&field("string", ""), r#"{"fields":{"f":"a..b"}}"#),
        "- /feed/fields/f",
    );
    check(&with(&field("string", ""), r#"{"fields":{"f":"id.x"}}"#), "- /fields/1");
    check(&with(&field("string", ""), r#"{"evnt":"a"}"#), "1802 /feed/evnt");
    check(
        &with(&field("string", r#""isPsiData":true"#), r#"{"fields":{"f":"event"}}"#),
        "- /fields/1",
    );
    check(
        "{\"eventName\":\"a\",\"eventName\":\"a\",\"actions\":[\"crm\"],\"fields\":[]}",
        "- /eventName; 1802 /fields",
    );
}

#[test]
fn a_place_is_a_line_and_a_column() {
    let text = HOTEL.replace("\"double\"", "\"float\"");
    let problem = &parse(&text).unwrap_err()[0];
    assert_eq!((problem.line, problem.column), (11, 25));
    assert_eq!(
        problem.to_string(),
        "a.json:11:25: /fields/2/type: there is no type `float` (code 1823); one of tillCode, couponCode, customer, \
         productSku, productBrand, productCategory, string, double, enum, date, boolean, integer, groupId, currencyCode \
         is wanted"
    );
    let problem = &parse("{\n \"ö\": tru }").unwrap_err()[0];
    assert_eq!((problem.line, problem.column), (2, 10), "{problem:?}");
}

#[test]
fn what_is_odd_is_a_warning() {
    let check = |text: &str, expect: &[&str]| {
        let definitions = sound(text);
        let warnings: Vec<String> = definitions.warnings().iter().map(|odd| odd.message.clone()).collect();
        assert_eq!(warnings.len(), expect.len(), "{warnings:?}");
        for (warning, expect) in warnings.iter().zip(expect) {
            assert!(warning.contains(expect), "{warning}");
        }
    };
    check(
        &with(&field("string", r#""isUniqueKeyField":true"#), ""),
        &["not marked as required"],
    );
    check(&HOTEL.replace("hotel_booking", "hotel__booking"), &["two underscores"]);
    check(&with(&field("string", r#""colour":true"#), ""), &["`colour`"]);
    check(
        &with(&field("enum", r#""possibleValues":{"value":"a, b"}"#), ""),
        &["a blank stands"],
    );
    let eleven: Vec<String> = (0..11)
        .map(|n| HOTEL.replace("hotel_booking", &format!("e{n}")))
        .collect();
    check(&format!("[{}]", eleven.join(",")), &["there are 11 definitions"]);
    // What the vendor shows when a definition is read back.
    check(&HOTEL.replacen('{', r#"{"eventId":7,"status":"PUBLISHED","#, 1), &[]);
}

#[test]
fn an_event_belongs_to_the_definition_that_says_so_or_has_its_letters() {
    let named = with("", r#"{"event":"Completed Order"}"#);
    let letters = with("", "").replace("\"x\"", "\"completedOrder\"");
    let definitions = sound(&format!("[{named},{letters}]"));
    let check = |event: &str, expect: Option<&str>| {
        let found = definitions.of(event);
        assert_eq!(found.map(|one| one.event_name.as_str()), expect, "{event}");
        assert!(found.is_none_or(|one| one.is_called(event)));
    };
    check("Completed Order", Some("x"));
    check("completed-order", Some("completedOrder"));
    check("COMPLETED_ORDER", Some("completedOrder"));
    check("x", None);
    check("", None);
}

/// What holding an entry comes to: `+`, or its reasons with pointers and places.
fn held(definitions: &Definitions, unknown: UnknownEvents, raw: &str) -> (String, Vec<String>) {
    let options = Options {
        default_business_unit: None,
        duplicate_keys: DuplicateKeys::Reject,
        entry_bytes_max: 1 << 20,
        depth_max: 128,
        kind: crate::verdict::FeedKind::Events,
        ordered_items: false,
        order_unique: false,
    };
    let feed = format!("[{raw}]");
    let mut walk = Walk::new(feed.as_bytes(), &options).hiding(definitions.sensitive());
    let entry = walk.next().expect("no fault").expect("an entry");
    let mut holder = Holder::new(definitions, unknown);
    let event = crate::feed::extract(&entry, &options).event;
    let held = holder.hold(entry.raw, &event);
    let reasons = held.reasons(&entry);
    assert_eq!(held.broken(), reasons.first().map(|reason| reason.code));
    let outline = reasons
        .iter()
        .map(|reason| {
            // Less the bracket: an offset in the entry.
            let found = &raw[reason.at.byte as usize - 1..];
            let shown = match found.starts_with(['{', '[']) {
                true => found.len().min(9),
                false => json::value_end(found.as_bytes(), 0),
            };
            format!("{}{} at {}", reason.code, reason.pointer, &found[..shown])
        })
        .collect::<Vec<_>>()
        .join("; ");
    let messages = reasons.into_iter().map(|reason| reason.message).collect();
    (if outline.is_empty() { "+".to_owned() } else { outline }, messages)
}

#[test]
fn an_entry_is_held_against_its_definition() {
    let hotel = sound(HOTEL);
    let check = |rest: &str, expect: &str| {
        let raw = format!(r#"{{"event":"Hotel Booking","id":"1"{rest}}}"#);
        assert_eq!(held(&hotel, UnknownEvents::Accept, &raw).0, expect, "{raw}");
    };
    check(r#","mobile":"49","booking_id":"B"}"#.trim_end_matches('}'), "+");
    check(r#","mobile":4917,"booking_id":"B","age":47.5"#, "+");
    check(
        "",
        r#"definition_field_missing/mobile at {"event":; definition_field_missing/booking_id at {"event":"#,
    );
    check(
        r#","mobile":null,"booking_id":" \t""#,
        r#"definition_field_missing/mobile at null; definition_field_missing/booking_id at " \t""#,
    );
    check(
        r#","booking_id":7,"mobile":4.5,"age":"47""#,
        r#"definition_field_type/mobile at 4.5; definition_field_type/booking_id at 7; definition_field_type/age at "47""#,
    );
    check(
        r#","mobile":"1","booking_id":{}"#,
        "definition_field_type/booking_id at {}}",
    );
    check(r#","mobile":"1","booking_id":7,"booking_id":"B""#, "+");
    check(
        r#","mobile":"1","booking_id":"B","booking\u005fid":7"#,
        "definition_field_type/booking_id at 7",
    );
}

#[test]
fn each_type_takes_its_values_and_no_others() {
    let check = |kind: &str, attributes: &str, good: &[&str], bad: &[&str]| {
        let definitions = sound(&with(&field(kind, attributes), ""));
        for (values, expect) in [(good, true), (bad, false)] {
            for value in values {
                let raw = format!(r#"{{"event":"x","id":"1","f":{value}}}"#);
                let (found, _) = held(&definitions, UnknownEvents::Reject, &raw);
                assert_eq!(found == "+", expect, "{kind} {attributes} {value}: {found}");
            }
        }
    };
    let texts: &[&str] = &[r#""x""#, r#""\u0041""#, "null", r#""""#];
    for kind in [
        "tillCode",
        "couponCode",
        "productSku",
        "productBrand",
        "PRODUCT_CATEGORY",
        "string",
        "groupId",
    ] {
        check(
            kind,
            "",
            texts,
            &["1", "true", "{}", "[]", r#""a\u0000""#, r#""\ud800""#],
        );
    }
    check("customer", r#""identifierType":{"value":"line"}"#, &[], &[]);
    check(
        "double",
        "",
        &["1", "-1.5e3", "5.00", "1e308"],
        &[r#""1""#, "true", "1e400"],
    );
    check(
        "integer",
        "",
        &["1", "-0", "12345678901234567890123"],
        &["1.0", "1e3", r#""1""#, "false"],
    );
    check("boolean", "", &["true", "false"], &["1", r#""true""#]);
    check(
        "date",
        "",
        &[r#""2024-05-22""#, r#""2024-05-22T22:00:00Z""#],
        &[r#""soon""#, "20240522", r#""2024-02-30""#],
    );
    check("currencyCode", "", &[r#""EUR""#], &[r#""eur""#, r#""EURO""#, "978"]);
    let values = r#""possibleValues":{"value":"new,used","valueType":"String"}"#;
    check(
        "enum",
        values,
        &[r#""new""#, r#""us\u0065d""#],
        &[r#""New""#, r#""new ""#, "1"],
    );
    check("string", values, &[r#""new""#], &[r#""old""#]);
    check(
        "double",
        r#""possibleValues":{"values":[1,2.5]}"#,
        &["1", "1.0", "2.50"],
        &["3"],
    );
    check("integer", r#""possibleValues":{"values":["1","2"]}"#, &["1"], &["3"]);
    // The whole of it.
    check(
        "couponCode",
        r#""regex":{"value":"[A-Z]{3}|x"}"#,
        &[r#""ABC""#, r#""x""#],
        &[r#""ABCD""#, r#""aABC""#, r#""ABC\n""#],
    );
    check(
        "double",
        r#""regex":{"value":"[0-9]+\\.[0-9]{2}"}"#,
        &["5.00"],
        &["5.0"],
    );
}

#[test]
fn arrays_are_looked_at_element_by_element() {
    let fields =
        r#",{"name":"sku","type":"productSku","attributes":{"isRequired":true}},{"name":"price","type":"double"}"#;
    let feed = r#"{"fields":{"sku":"cart.products[].sku","price":"cart.products[].price"}}"#;
    let definitions = sound(&with(fields, feed));
    let check = |cart: &str, expect: &str| {
        let raw = format!(r#"{{"event":"x","id":"1","cart":{cart}}}"#);
        assert_eq!(held(&definitions, UnknownEvents::Accept, &raw).0, expect, "{raw}");
    };
    check(r#"{"products":[{"sku":"a"},{"sku":"b","price":1}]}"#, "+");
    check(
        r#"{"products":[{"sku":"a"},{"price":"1"}]}"#,
        r#"definition_field_missing/cart/products/1/sku at {"price":; definition_field_type/cart/products/1/price at "1""#,
    );
    check(
        r#"{"products":[{"sku":7},{"sku":8}]}"#,
        "definition_field_type/cart/products/0/sku at 7; definition_field_type/cart/products/1/sku at 8",
    );
    check(r#"{"products":[]}"#, "definition_field_missing/cart/products at []}}");
    check("{}", "definition_field_missing/cart/products at {}}");
    check("null", "definition_field_missing/cart/products at null");
    check(
        r#"{"products":[1,null]}"#,
        "definition_field_type/cart/products/0 at 1; definition_field_missing/cart/products/1/sku at null",
    );
    check(r#"{"products":{}}"#, "definition_field_type/cart/products at {}}}");
    check("[]", "definition_field_type/cart at []}");
    check(&format!(r#"{{"products":[{}1]}}"#, "1,".repeat(10_000)), &{
        let each: Vec<String> = (0..100)
            .map(|n| format!("definition_field_type/cart/products/{n} at 1"))
            .collect();
        each.join("; ")
    });
}

#[test]
fn an_event_without_a_definition_is_let_pass_or_not() {
    let hotel = sound(HOTEL);
    let raw = r#"{"id":"1","event":"Other"}"#;
    assert_eq!(held(&hotel, UnknownEvents::Accept, raw).0, "+");
    let (outline, messages) = held(&hotel, UnknownEvents::Reject, raw);
    assert_eq!(outline, "definition_unknown_event/event at \"Other\"");
    assert_eq!(
        messages,
        ["\"Other\" is no event that is known here; one that has a definition is wanted"]
    );
}

#[test]
fn messages_say_what_was_found_and_what_is_wanted() {
    let attributes = r#""isRequired":true,"possibleValues":{"value":"new,used"}"#;
    let definitions = sound(&with(
        &(field("enum", attributes) + r#",{"name":"n","type":"integer"}"#),
        r#"{"fields":{"f":"a.f"}}"#,
    ));
    let check = |rest: &str, expect: &[&str]| {
        let raw = format!(r#"{{"event":"x","id":"1"{rest}}}"#);
        assert_eq!(held(&definitions, UnknownEvents::Accept, &raw).1, expect, "{raw}");
    };
    check("", &["`a.f` is missing; `x` requires one of `new`, `used`"]);
    check(
        r#","a":{"f":""}"#,
        &["`a.f` is blank; `x` requires one of `new`, `used`"],
    );
    check(
        r#","a":{"f":"old"},"n":1.5"#,
        &[
            "`a.f` (\"old\") is none of the values that are possible: `new`, `used`",
            "`n` is a number with a fraction or an exponent (1.5); `x` wants a number without fraction and exponent",
        ],
    );
    check(
        r#","a":"text""#,
        &["`a` is a string; an object is wanted, in which `x` has `a.f`"],
    );
}

#[test]
fn a_sensitive_value_is_in_no_message_whatever_is_wrong_with_it() {
    let attributes = r#""isPsiData":true,"possibleValues":{"value":"new"},"regex":{"value":"n.*"}"#;
    let one = with(&field("string", attributes), r#"{"fields":{"f":"cart.secret"}}"#);
    let two = with(&field("integer", ""), r#"{"fields":{"f":"cart"}}"#).replace("\"x\"", "\"y\"");
    let definitions = sound(&format!("[{one},{two}]"));
    for raw in [
        r#"{"event":"x","id":"1","cart":{"secret":4711}}"#,
        r#"{"event":"x","id":"1","cart":{"secret":"4711"}}"#,
        r#"{"event":"x","id":"1","cart":{"secret":["4711"]}}"#,
        r#"{"event":"x","id":"1","cart":"secret: 4711"}"#,
        r#"{"event":"y","id":"1","cart":{"secret":"4711"}}"#,
        r#"{"event":"y","id":"1","cart":"secret: 4711"}"#,
    ] {
        let (outline, messages) = held(&definitions, UnknownEvents::Accept, raw);
        assert_ne!(outline, "+", "{raw}");
        assert!(!messages.concat().contains("4711"), "{raw}: {messages:?}");
    }
}

#[test]
fn the_parts_of_a_unique_key_come_in_the_order_of_the_definition() {
    let fields = r#",{"name":"a","type":"string","attributes":{"isUniqueKeyField":true}},{"name":"b","type":"double","attributes":{"isUniqueKeyField":true}},{"name":"c","type":"string","attributes":{"isUniqueKeyField":true}}"#;
    let definitions = sound(&with(fields, r#"{"fields":{"c":"p[].c"}}"#));
    let mut holder = Holder::new(&definitions, UnknownEvents::Accept);
    let mut check = |rest: &str, expect: &[&str]| {
        let raw = format!(r#"{{"event":"x","id":"1",{rest}}}"#);
        let held = holder.hold(&raw, "x");
        assert_eq!(held.broken(), None, "{raw}");
        assert_eq!(held.unique_parts().unwrap().collect::<Vec<_>>(), expect, "{raw}");
    };
    check(
        r#""p":[{"c":"x"},{"c":"y"}],"b":5.00,"a":"\u0041""#,
        &["A", "5.00", "2", "x", "y"],
    );
    check(r#""a":"1","b":1,"a":"2","p":[{"c":"x"}]"#, &["2", "1", "1", "x"]);
    let hotel = sound(&HOTEL.replace("\"isUniqueKeyField\"", "\"source\""));
    assert!(
        Holder::new(&hotel, UnknownEvents::Accept)
            .hold("{}", "x")
            .unique_parts()
            .is_none()
    );
}

#[test]
fn masking_hides_every_value_of_a_sensitive_field_and_nothing_else() {
    let psi = r#""isPsiData":true"#;
    let definitions = sound(&with(&field("string", psi), r#"{"fields":{"f":"p[].f"}}"#));
    let check = |raw: &str, expect: &str| assert_eq!(definitions.of("x").unwrap().masked(raw), expect);
    check(
        r#"{"f":"seen","p":[{"f":"a","g":1},{ "f" : {"x":2} }]}"#,
        r#"{"f":"seen","p":[{"f":"***","g":1},{ "f" : "***" }]}"#,
    );
    check(
        r#"{"p":[{"f":1}],"p":{"f":2},"p":[]}"#,
        r#"{"p":[{"f":"***"}],"p":"***","p":[]}"#,
    );
    check("7", "7");
}

#[test]
fn values_are_taken_out_field_by_field() {
    let definitions = sound(&with(&field("double", ""), r#"{"fields":{"f":"p[].f"}}"#));
    let values = definitions
        .of("x")
        .unwrap()
        .values(r#"{"id":"7","p":[{"f":null},{"f":2},{"f":3}]}"#);
    assert_eq!(values, [Some("\"7\""), Some("2")]);
}

#[test]
fn an_example_breaks_nothing() {
    let attributes = r#""isRequired":true,"regex":{"value":"[A-Z]{3}"}"#;
    for (text, guessed) in [
        (HOTEL.to_owned(), 0),
        (
            with(
                &field("string", attributes),
                r#"{"event":"Big Order","fields":{"f":"a.b[][].c"}}"#,
            ),
            0,
        ),
        (with(&field("string", &attributes.replace("{3}", "{40}")), ""), 1),
    ] {
        let definitions = sound(&text);
        let definition = definitions.iter().next().unwrap();
        let (entry, without) = definition.example();
        assert_eq!(without.len(), guessed);
        let (outline, _) = held(&definitions, UnknownEvents::Reject, &entry.to_string());
        assert_eq!(outline == "+", guessed == 0, "{entry}: {outline}");
    }
}
