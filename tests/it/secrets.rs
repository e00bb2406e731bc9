//! Secrets in no output: a whole life of the program, with a secret of every kind, and everything it leaves behind searched
//! for each of them, plain and in the forms that secrets are sent in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::house::archives::Archive;
use crate::house::far_end::FarEnd;
use crate::house::gate::{Gate, Output, wait_until};
use crate::house::http_server::{HttpServer, Request, Script};
use crate::house::sshd::{Sshd, keygen};

const PASSPHRASE: &str = "passphrase-Qx7\"%/ ü";
const WRONG_PASSWORD: &str = "wrong-pw-Vt3\"%/ ü";
const HTTP_PASSWORD: &str = "http-pw-Kd9\"%/~+";
const BEARER: &str = "bearer-Wm4\"%/~+==";
const API_KEY: &str = "api-key-Zr2\"%/~+";
const SIGNING_KEY: &str = "signing-key-Hb6\"%/ ü";
const QUERY_TOKEN: &str = "query-token-Jf8";
const PUBLISHABLE_KEY: &str = "publishable-Ns5";
const SECRET_KEY: &str = "secret-key-Pc1";

/// What the partner's events say of people. It is delivered, kept in the archive, and shown to nobody who only looks.
const EMAIL: &str = "jesse.hanley@private.example";
const ID: &str = "customer-77123-private";

/// A receiver that says back how it was called, as it came and as JSON has it.
fn echo(request: &Request, status: u16) -> Script {
    let (target, headers) = (&request.target, &request.headers);
    let as_it_came: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value} "))
        .collect();
    Script::status(status).with_body(format!("{target} {as_it_came} {}", serde_json::json!(headers)))
}

/// A world with a secret in every place that takes one.
struct Life {
    gate: Gate,
    sshd: Sshd,
    far: FarEnd,
    // They answer while they live.
    _receivers: [HttpServer; 2],
    secrets: Vec<(&'static str, String)>,
    said: Vec<(String, String)>,
}

impl Life {
    fn begin() -> Life {
        let (mut gate, sshd, far) = (Gate::new(), Sshd::start(), FarEnd::start());
        let file = |name: &str, text: &str| {
            let path = gate.dir().join(name);
            fs::write(&path, text).expect("a secret in a file");
            path.display().to_string()
        };
        let key = gate.dir().join("locked_key");
        keygen(&key, &["-t", "ed25519", "-N", PASSPHRASE]);
        let public = key.with_extension("pub");
        sshd.authorize(&fs::read_to_string(&public).expect("the public key"));
        fs::remove_file(public).expect("nothing else beside it");
        let files = [
            file("passphrase", &format!("{PASSPHRASE}\n")),
            file("http_password", HTTP_PASSWORD),
            file("api_key", API_KEY),
            file("signing_key", SIGNING_KEY),
            file("publishable_key", PUBLISHABLE_KEY),
        ];
        let [passphrase, http_password, api_key, signing_key, publishable_key] = &files;
        let receivers = [HttpServer::start(), HttpServer::start()];
        receivers[0].answer_with(|request| echo(request, 422));
        receivers[1].answer_with(|request| echo(request, 401));

        for (name, value) in [
            ("PASSWORD", far.password()),
            ("WRONG", WRONG_PASSWORD),
            ("BEARER", BEARER),
            ("BENTO", SECRET_KEY),
        ] {
            gate.variable(name, value);
        }
        gate.source_toml(
            "by-key",
            &format!(
                "url = {:?}\nhost_key = {:?}\nprivate_key_file = {key:?}\nprivate_key_passphrase_file = {passphrase:?}",
                sshd.url(),
                sshd.host_key_pin()
            ),
        );
        let far_keys = format!("url = {:?}\nhost_key = {:?}", far.url(), far.host_key());
        gate.source_toml("by-password", &format!("{far_keys}\npassword_env = \"PASSWORD\""));
        // Elsewhere on the server: one root has one source.
        let elsewhere = far_keys.replacen("/\"", "/elsewhere\"", 1);
        gate.source_toml("turned-away", &format!("{elsewhere}\npassword_env = \"WRONG\""));
        gate.destination_sqlite("events");
        let url = format!("{}/in?token={QUERY_TOKEN}", receivers[0].url());
        gate.destination(
            "refuses",
            &format!(
                "type = \"http\"\nurl = {url:?}\nstart = \"oldest\"\nbearer_env = \"BEARER\"\nsigning_key_file = {signing_key:?}\nheader_files = {{ \"X-Api-Key\" = {api_key:?} }}"
            ),
        );
        let url = format!("{}/in?token={QUERY_TOKEN}", receivers[1].url());
        gate.destination(
            "locked-out",
            &format!(
                "type = \"http\"\nurl = {url:?}\nstart = \"oldest\"\nuser = \"me\"\npassword_file = {http_password:?}"
            ),
        );
        gate.destination("gone", &format!("type = \"http\"\nurl = \"http://127.0.0.1:9/in?token={QUERY_TOKEN}\"\nstart = \"oldest\"\nbearer_env = \"BEARER\""));
        gate.destination(
            "bento",
            &format!(
                "type = \"bento\"\nsite_uuid = \"site\"\nurl = \"{}\"\nstart = \"oldest\"\npublishable_key_file = {publishable_key:?}\nsecret_key_env = \"BENTO\"",
                receivers[1].url()
            ),
        );

        let locked_key = fs::read_to_string(&key).expect("the key");
        // A line from its middle is as good as all of it.
        let of_the_key = locked_key.lines().nth(2).expect("a line of the key").to_owned();
        let secrets = vec![
            ("the passphrase of the key", PASSPHRASE.to_owned()),
            ("the key", of_the_key),
            ("the password of the account", far.password().to_owned()),
            ("the wrong password", WRONG_PASSWORD.to_owned()),
            ("the password at the receiver", HTTP_PASSWORD.to_owned()),
            ("the bearer token", BEARER.to_owned()),
            ("the key in a header", API_KEY.to_owned()),
            ("the signing key", SIGNING_KEY.to_owned()),
            ("the token in the query", QUERY_TOKEN.to_owned()),
            ("Bento's publishable key", PUBLISHABLE_KEY.to_owned()),
            ("Bento's secret key", SECRET_KEY.to_owned()),
        ];
        Life {
            gate,
            sshd,
            far,
            _receivers: receivers,
            secrets,
            said: Vec::new(),
        }
    }

    fn note(&mut self, what: &str, output: &Output) {
        self.said.push((format!("stdout of {what}"), output.stdout.clone()));
        self.said.push((format!("stderr of {what}"), output.stderr.clone()));
    }

    fn cli(&mut self, args: &[&str]) -> Output {
        let output = self.gate.cli(args);
        self.note(&args.join(" "), &output);
        output
    }

    /// Everything that was said and written, but for what delivers: the archives themselves, and where events go.
    fn traces(&self) -> Vec<(String, Vec<u8>)> {
        let mut traces: Vec<(String, Vec<u8>)> = Vec::new();
        for (what, text) in &self.said {
            traces.push((what.clone(), text.clone().into_bytes()));
        }
        for dir in [
            self.gate.state_dir(),
            self.sshd.root().to_owned(),
            self.far.root().to_owned(),
        ] {
            for path in files_below(&dir) {
                let bytes = fs::read(&path).expect("a file");
                traces.push((path.display().to_string(), bytes));
                traces.push((
                    format!("the name {}", path.display()),
                    path.display().to_string().into_bytes(),
                ));
            }
        }
        traces
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry"))
    {
        match entry.path().is_dir() {
            true => found.extend(files_below(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

/// A secret as it is, as JSON has it, as an address has it, and as HTTP sends it, alone and behind a user's name.
fn forms(secret: &str) -> Vec<String> {
    use base64::Engine;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD_NO_PAD.encode(text);
    let json = serde_json::to_string(secret).expect("a text");
    let percent: String = secret
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    let debug = format!("{secret:?}");
    vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        debug.trim_matches('"').to_owned(),
        percent,
        base64(secret),
        base64(&format!("me:{secret}")),
        base64(&format!("{PUBLISHABLE_KEY}:{secret}")),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

fn holds(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[test]
fn of_a_whole_life_no_trace_holds_one() {
    let mut life = Life::begin();
    let feed = format!(
        r#"[{{"event":"Viewed Product","id":"{ID}","email":"{EMAIL}","businessUnit":"shop"}},
            {{"event":"","id":"{ID}","email":"{EMAIL}"}},{{"event":"Login","id":"{ID}","timestamp":"yesterday"}},
            {{"event":"Login","email":"{EMAIL}"}}]"#
    );
    let (name, bytes) = Archive::feed("20260202000000", &feed);
    fs::write(life.sshd.root().join(&name), &bytes).expect("an upload");
    life.far.upload(&name, &bytes);
    let (broken, bytes) = Archive::feed("20260203000000", &feed.replace("}]", "}"));
    life.far.upload(&broken, &bytes);

    life.cli(&["check"]);
    life.cli(&["check", "--json"]);
    life.cli(&["--log", "trace", "--log-format", "text", "once"]);
    let daemon = life.gate.spawn(
        life.gate
            .command()
            .args(["--log", "trace", "run"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped()),
    );
    daemon.wait_for_log("feedgate is running");
    let line = fs::read(format!("/proc/{}/cmdline", daemon.id())).expect("its command line");
    wait_until("another call of each destination", || {
        let status = life.gate.status();
        let destinations = status["destinations"].as_array().cloned().unwrap_or_default();
        destinations.iter().filter(|one| !one["reason"].is_null()).count() >= 3
    });
    daemon.signal("HUP");
    std::thread::sleep(Duration::from_secs(1));
    let ended = daemon.stop();
    assert_eq!(ended.code, 0, "{ended}");
    life.note("run", &ended);
    life.said.push((
        "the command line".to_owned(),
        String::from_utf8_lossy(&line).into_owned(),
    ));
    for args in [
        &["status"][..],
        &["status", "--all", "--json"],
        &["status", &name],
        &["status", &broken, "--json"],
        &["status", "--destination", "refuses", "--json"],
        &["status", "--destination", "locked-out"],
        &["status", "--destination", "bento", "--json"],
        &["dead-letters", "refuses", "--all"],
        &["retry", "--failed"],
        &["retry", "--dead-letters", "refuses"],
        &["once"],
        &["--help"],
        &["keys", &life.far.url().clone()],
    ] {
        life.cli(args);
    }
    // It did talk of each of these places, or there would be nothing to be found in the first place.
    for place in ["turned-away", "locked-out", "gone", "bento", "by-key"] {
        assert!(life.said.iter().any(|(_, text)| text.contains(place)), "{place}");
    }

    let traces = life.traces();
    assert!(traces.len() > 40, "{}", traces.len());
    for (what, secret) in &life.secrets {
        for form in forms(secret) {
            for (trace, bytes) in &traces {
                assert!(
                    !holds(bytes, &form),
                    "{what} is in {trace}, as `{form}`: {}",
                    String::from_utf8_lossy(bytes)
                );
            }
        }
    }
    // People's data are in what is said to whoever only looks as little: the log, the receipts, `status`.
    for (trace, bytes) in &traces {
        let may_hold = ["/spool/", "events.db", "ledger.db", ".json.zip", "dead-letters"]
            .iter()
            .any(|place| trace.contains(place))
            && !trace.contains("receipt.json");
        for people in [EMAIL, ID] {
            assert!(
                may_hold || !holds(bytes, people),
                "`{people}` is in {trace}: {}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
}

#[test]
fn a_secret_in_a_wrong_place_of_the_configuration_is_not_said_back() {
    const SECRET: &str = "misplaced-Yx2";
    let keys = |line: &str| {
        format!(
            "url = \"sftp://acme@127.0.0.1:9\"\nhost_key = \"SHA256:UT2FjmbljxQiFoZUOE6dALa8AGRiApvT1pq/u7Es/EY\"\n{line}"
        )
    };
    for line in [
        format!("password = \"{SECRET}\""),
        format!("password_file = \"{SECRET}\""),
        format!("password_file = {SECRET}"),
        format!("password_file = \"{SECRET}"),
        format!("password_env = \"{SECRET}\""),
        format!("agent = true\nprivate_key_passphrase = \"{SECRET}\""),
        format!("agent = true\nprivate_key_file = \"{SECRET}\""),
    ] {
        let mut gate = Gate::new();
        gate.source_toml("acme", &keys(&line));
        let refused = gate.once();
        assert_eq!(refused.code, 2, "{line}: {refused}");
        assert!(!refused.stderr.contains(SECRET), "{line}: {refused}");
    }
    let mut gate = Gate::new();
    gate.source_toml(
        "acme",
        &format!("url = \"sftp://acme:{SECRET}@127.0.0.1:9\"\nagent = true"),
    );
    for refused in [
        gate.once(),
        gate.cli(["keys", &format!("sftp://acme:{SECRET}@127.0.0.1:9")]),
    ] {
        assert_eq!(refused.code, 2, "{refused}");
        assert!(!refused.stderr.contains(SECRET), "{refused}");
    }
}
