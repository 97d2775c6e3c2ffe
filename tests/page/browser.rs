//! Chromium without a window, driven over the WebDriver protocol (W3C) by chromedriver.
//!
//! A [`Browser`] has a profile of its own, writes down what it fetches and complains of, and
//! ends with its driver, also when the test fails. It speaks English wherever the tests run.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Lines, PATIENCE, wait_for};

/// For root, in a container, without a graphics card, and without calls to other machines.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--hide-scrollbars",
];

/// The names of keys in the protocol.
pub(crate) const ARROW_LEFT: &str = "\u{e012}";
pub(crate) const ARROW_RIGHT: &str = "\u{e014}";
pub(crate) const HOME: &str = "\u{e011}";
pub(crate) const END: &str = "\u{e010}";

pub(crate) struct Browser {
    driver: Child,
    /// Where the session is found.
    session: Option<String>,
    directory: PathBuf,
}

impl Browser {
    pub(crate) fn start(directory: &Path) -> Self {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs chromedriver and Chromium, which scripts/test installs");
        let mut browser = Self { driver, session: None, directory: directory.to_owned() };
        let address = format!("http://127.0.0.1:{}", browser.port());
        let profile = directory.join("profile");
        fs::create_dir_all(&profile).unwrap();
        let mut flags: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let made = ask(minreq::post(format!("{address}/session")), Some(&wanted));
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {made}"));
        browser.session = Some(format!("{address}/session/{id}"));
        // Leaves the browser's own first page, and forgets what that one fetched.
        browser.post("url", &json!({ "url": "about:blank" }));
        browser.fetched();
        browser
    }

    /// The port that the driver chose, which it says when it is ready.
    fn port(&mut self) -> u16 {
        let mut lines = Lines::of(self.driver.stdout.take().unwrap());
        let before = "started successfully on port ";
        let line = lines.until("chromedriver's port", |line| line.contains(before));
        let (_, port) = line.split_once(before).unwrap();
        port.trim_end_matches('.').parse().unwrap()
    }

    fn post(&self, what: &str, body: &Value) -> Value {
        ask(minreq::post(format!("{}/{what}", self.session.as_ref().unwrap())), Some(body))
    }

    /// Opens a file, and waits until it is there.
    pub(crate) fn open(&self, file: &Path) {
        self.post("url", &json!({ "url": url_of(file) }));
    }

    /// What a function's body returns in the page.
    pub(crate) fn eval(&self, body: &str) -> Value {
        self.post("execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// The text that an element shows.
    pub(crate) fn text(&self, id: &str) -> String {
        let text = self.eval(&format!("return document.getElementById('{id}').textContent"));
        text.as_str().unwrap().to_owned()
    }

    /// Presses a key and lets go of it.
    pub(crate) fn press(&self, key: &str) {
        let actions =
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        self.post(
            "actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }),
        );
    }

    /// Clicks an element, as a finger would.
    pub(crate) fn click(&self, id: &str) {
        let found =
            self.post("element", &json!({ "using": "css selector", "value": format!("#{id}") }));
        let element =
            found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.post(&format!("element/{element}/click"), &json!({}));
    }

    /// Looks again and again until an expression is true in the page.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) {
        wait_for(expression, || self.eval(&format!("return Boolean({expression})")) == true);
    }

    /// A screen of this size, and what its user prefers.
    pub(crate) fn screen(&self, (width, height): (u32, u32), scheme: &str, motion: &str) {
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.developer("Emulation.setDeviceMetricsOverride", &metrics);
        let features = [
            json!({ "name": "prefers-color-scheme", "value": scheme }),
            json!({ "name": "prefers-reduced-motion", "value": motion }),
        ];
        self.developer("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    fn developer(&self, command: &str, parameters: &Value) {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }));
    }

    /// What is on the screen, as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let picture =
            ask(minreq::get(format!("{}/screenshot", self.session.as_ref().unwrap())), None);
        from_base64(picture.as_str().unwrap())
    }

    /// Everything fetched since the last time.
    pub(crate) fn fetched(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "performance" }));
        let mut fetched = Vec::new();
        for entry in entries.as_array().unwrap() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let url = message["params"]["request"]["url"].as_str().unwrap();
                fetched.push(url.to_owned());
            }
        }
        fetched
    }

    /// Everything the page complained of since the last time.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(Value::to_string).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            // Ends the browser. Where that fails, it ends with its driver.
            let _ = minreq::delete(session).with_timeout(20).send();
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The URL of a file, whose name may have any characters.
pub(crate) fn url_of(file: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let encoded = file.as_os_str().as_bytes().iter().map(|byte| match plain(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    format!("file://{}", encoded.collect::<String>())
}

/// Asks the driver, and gives the value of its answer.
#[track_caller]
fn ask(request: minreq::Request, body: Option<&Value>) -> Value {
    let request = request.with_timeout(PATIENCE.as_secs());
    let request = match body {
        Some(body) => {
            request.with_body(body.to_string()).with_header("Content-Type", "application/json")
        }
        None => request,
    };
    let answer = request.send().unwrap();
    let mut value: Value = serde_json::from_str(answer.as_str().unwrap()).unwrap();
    assert_eq!(answer.status_code, 200, "the driver says {value}");
    value["value"].take()
}

/// RFC 4648, without line ends.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => u32::from(letter - b'A'),
        b'a'..=b'z' => u32::from(letter - b'a') + 26,
        b'0'..=b'9' => u32::from(letter - b'0') + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let joined = four.iter().fold(0, |joined, letter| joined << 6 | value(*letter));
        let joined = joined << (6 * (4 - four.len()));
        bytes.extend(&joined.to_be_bytes()[1..four.len()]);
    }
    bytes
}
