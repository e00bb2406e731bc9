//! `feedgate definitions`: list, check, explain.

use serde_json::json;

use super::*;

#[test]
fn they_are_listed() {
    let (gate, _) = gate_with(&[]);
    let none = gate.cli(["definitions"]);
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "There are no event definitions: every event is taken as it is.\n")
    );
    assert_eq!(gate.cli(["definitions", "--json"]).json(), json!([]));

    define(&gate, "a.json", &fixture("hotel_booking.json"));
    define(&gate, "b.json", &fixture("completed_order.json"));
    let listed = gate.cli(["definitions"]);
    assert_eq!(
        listed.stdout,
        "event           in feeds                                      actions                  fields  required                              unique by   sensitive\n\
         completedOrder  Completed Order                               EIConsumer                    9  customer, order_id, total, sku\n\
         hotel_booking   hotel_booking (any case, any signs between)  EMFConsumer, EIConsumer       3  customer, booking_id                  booking_id  age\n"
            .replace("                              unique by", "                        unique by")
            .replace("                  booking_id  age", "            booking_id  age")
            .replace("in feeds                                      ", "in feeds                                     ")
            .replace("Completed Order                               EI", "Completed Order                              EI"),
        "{listed}"
    );
    assert_eq!(gate.cli(["definitions", "list"]).stdout, listed.stdout);
    let json = gate.cli(["definitions", "list", "--json"]).json();
    assert_eq!(json[0]["event_name"], "completedOrder");
    assert_eq!(json[0]["fields"][4]["path"], "cart.products[].sku");
    assert_eq!(json[1]["fields"][2]["sensitive"], true);
}

#[test]
fn files_are_checked_without_a_configuration() {
    let gate = Gate::new();
    for name in ["hotel_booking.json", "six_mistakes.json"] {
        fs::write(gate.dir().join(name), fixture(name)).unwrap();
    }
    let check = |args: &[&str]| {
        let mut command = gate.command();
        command
            .env_remove("FEEDGATE_CONFIG")
            .args(["definitions", "check"])
            .args(args);
        let output = command.output().expect("feedgate");
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(
        check(&["hotel_booking.json"]),
        (Some(0), "1 definition in 1 file is sound.\n".to_owned(), String::new())
    );
    let (code, stdout, _) = check(&["hotel_booking.json", "six_mistakes.json"]);
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.starts_with("six_mistakes.json:1:14: /eventName: "), "{stdout}");
    assert!(stdout.ends_with("6 problems in 2 files.\n"), "{stdout}");
    let (code, stdout, _) = check(&["six_mistakes.json", "--json"]);
    let checked: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &checked["well"]), (Some(1), &json!(false)));
    assert_eq!(checked["problems"][1]["code"], 1810);
    assert_eq!(checked["problems"][1]["pointer"], "/actions/0");
    assert_eq!(checked["problems"][1]["line"], 2);
    let (code, _, stderr) = check(&["absent.json"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("`absent.json`"), "{stderr}");
}

#[test]
fn those_that_are_configured_are_checked_where_the_secrets_cannot_be_read() {
    let (mut gate, _) = gate_with(&[("a.json", &fixture("hotel_booking.json"))]);
    gate.source_toml(
        "far",
        "url = \"sftp://a@127.0.0.1:9/\"\npassword_file = \"/nonexistent/secret\"\nhost_key = \"SHA256:x\"",
    );
    let checked = gate.cli(["definitions", "check"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, "1 definition in 1 file is sound.\n"),
        "{checked}"
    );
    // An action that only a destination of ours lists is known here too.
    gate.destination("crm", "type = \"console\"\nactions = [\"crm\"]");
    define(
        &gate,
        "a.json",
        &fixture("hotel_booking.json").replace("EMFConsumer", "crm"),
    );
    let checked = gate.cli(["definitions", "check"]);
    assert_eq!(checked.code, 0, "{checked}");
    define(&gate, "b.json", &fixture("six_mistakes.json"));
    let checked = gate.cli(["definitions", "check"]);
    assert_eq!(checked.code, 1, "{checked}");
    assert!(checked.stdout.ends_with("6 problems in 2 files.\n"), "{checked}");
    for args in [vec!["definitions"], vec!["definitions", "explain", "hotel_booking"]] {
        let refused = gate.cli(&args);
        assert_eq!(refused.code, 2, "{refused}");
        assert!(
            refused.stderr.contains("reading the event definitions: 6 problems"),
            "{refused}"
        );
    }
}

#[test]
fn one_is_explained_with_an_example_that_is_accepted() {
    let (gate, root) = gate_with(&[("b.json", &fixture("completed_order.json"))]);
    let explained = gate.cli(["definitions", "explain", "Completed Order"]);
    assert_eq!(explained.code, 0, "{explained}");
    for part in [
        "completedOrder: Somebody bought something",
        "cart.products[].sku",
        "text of the form `[0-9]{4,10}`",
        "one of `web`, `app`, `store`",
        "the customer's externalId",
        "\"event\": \"Completed Order\"",
    ] {
        assert!(explained.stdout.contains(part), "{part}\n{explained}");
    }
    let explained = gate.cli(["definitions", "explain", "completedOrder", "--json"]).json();
    let name = upload(&root, MONDAY, &format!("[{}]", explained["example"]));
    assert_eq!(gate.once().code, 0);
    assert_eq!(gate.import(&name)["accepted"], 1, "{explained:#}");

    let unknown = gate.cli(["definitions", "explain", "nothing"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(
        unknown.stderr.contains("there is none; there are completedOrder"),
        "{unknown}"
    );
}
