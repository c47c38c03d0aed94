//! The appearance of the dashboard: on a phone, in light and dark mode, and in the screenshot of
//! the documentation.

use std::{env, fs};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    client::LINES,
    data::{ENDING_AT, generate, generate_with, joined},
    page::{Page, event, number, post},
    service::eventually,
};

/// The variable with the path of the screenshot. To renew it:
/// `BOOKEND_SCREENSHOT=$PWD/specification/screenshots/dashboard.png \
///  cargo test -p standalone --test browser picture`.
const PICTURE: &str = "BOOKEND_SCREENSHOT";

/// Every text with too little contrast to its background. WCAG AA requires at least 4.5.
const FAINT: &str = r"
    const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (colour) => {
      const [r, g, b] = channels(colour).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (it) => {
      const colour = getComputedStyle(it).backgroundColor;
      return it.parentElement && channels(colour)[3] === 0 ? behind(it.parentElement) : colour;
    };
    const faint = [];
    for (const it of document.querySelectorAll('body *')) {
      const words = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!words || it.matches('.skip') || !it.checkVisibility()) continue;
      const [a, b] = [getComputedStyle(it).color, behind(it)].map(light).sort((a, b) => b - a);
      const contrast = (a + 0.05) / (b + 0.05);
      if (contrast < 4.5) faint.push(`${it.tagName} ${it.className} ${it.textContent.slice(0, 20)}: ${contrast}`);
    }
    return faint";

/// Whether the canvas of the chart contains the colour of its first series. The script reads a
/// copy, because Chromium warns about repeated reads of a canvas that is drawn on.
const DRAWN: &str = r"
    const canvas = document.querySelector('#starts-chart canvas');
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const pixels = copy.getImageData(0, 0, canvas.width, canvas.height).data;
    const hex = getComputedStyle(document.documentElement).getPropertyValue('--series-1').trim();
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    for (let at = 0; at < pixels.length; at += 4) {
      if (pixels[at] === r && pixels[at + 1] === g && pixels[at + 2] === b && pixels[at + 3] === 255) return true;
    }
    return false";

fn be_as_wide_as(page: &Page, width: u32, height: u32) {
    let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
    page.browser.devtools("Emulation.setDeviceMetricsOverride", &size);
}

fn prefer(page: &Page, scheme: &str) {
    let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
    page.browser.devtools("Emulation.setEmulatedMedia", &scheme);
}

/// Opens the page with every section expanded.
fn open_all(page: &Page, user: &str, session: &str) {
    page.open(&format!("?span=30d&user={user}&session={session}"));
    page.wait_for_starts();
    eventually("a session is explained", || {
        (!page.texts(".explanation .why").is_empty()).then_some(())
    });
    page.browser
        .run("document.querySelectorAll('details').forEach((it) => { it.open = true })", &[]);
    eventually("the table is there", || (!page.texts("#starts-table td").is_empty()).then_some(()));
}

/// Generated events, and a user with a session of every status and ids of maximum length.
fn events(user: &str) -> Vec<Vec<u8>> {
    let long = "x".repeat(128);
    let mut events = generate("clean", 1_000, 7);
    events.extend([
        event(user, &long, "start", "2016-12-02T09:00:00Z", "SK"),
        event(user, &long, "end", "2016-12-02T11:30:00Z", ""),
        event(user, "open", "start", ENDING_AT, "ABCDEFGHIJKLMNOP"),
        event(user, "orphan", "end", "2016-11-30T08:00:00Z", ""),
    ]);
    events
}

#[test]
fn nothing_is_wider_than_the_screen_of_a_phone_or_a_desk() {
    let user = "u".repeat(128);
    let page = Page::over(&events(&user));
    for (width, height) in [(360, 740), (1_280, 900)] {
        be_as_wide_as(&page, width, height);
        open_all(&page, &user, "open");
        let wide = page.browser.run("return document.scrollingElement.scrollWidth", &[]);
        assert_eq!(wide, width, "the page is as wide as the screen");
    }
    page.assert_clean();
}

#[test]
fn texts_stand_out_and_the_chart_is_drawn_by_day_and_by_night() {
    let page = Page::over(&events("ann"));
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        prefer(&page, scheme);
        open_all(&page, "ann", "open");
        eventually("the chart is drawn in the colours of the scheme", || {
            (page.browser.run(DRAWN, &[]) == true).then_some(())
        });
        let faint: Vec<Value> = serde_json::from_value(page.browser.run(FAINT, &[])).unwrap();
        assert!(faint.is_empty(), "{scheme}: {faint:#?}");
        grounds
            .push(page.browser.run("return getComputedStyle(document.body).backgroundColor", &[]));
    }
    assert_ne!(grounds[0], grounds[1]);
    // The chart is redrawn when the colour scheme changes.
    prefer(&page, "light");
    eventually("the chart follows", || (page.browser.run(DRAWN, &[]) == true).then_some(()));
    page.assert_clean();
}

/// Sessions of one user over a week.
fn a_week_of(user: &str) -> Vec<Vec<u8>> {
    let sessions = [("27", "18:30", "23:45"), ("28", "07:05", "13:20"), ("30", "06:15", "15:30")];
    let complete = sessions.iter().flat_map(|(day, from, to)| {
        let at = |time: &str| format!("2016-11-{day}T{time}:00Z");
        let session = format!("s-{day}");
        [event(user, &session, "start", &at(from), "SK"), event(user, &session, "end", &at(to), "")]
    });
    let single = [
        event(user, "s-02", "start", "2016-12-02T11:30:00Z", "SK"),
        event(user, "s-01", "end", "2016-12-01T05:20:00Z", ""),
    ];
    complete.chain(single).collect()
}

#[test]
fn the_picture_of_the_documentation_can_be_taken() {
    let page = Page::over(&a_week_of("ann"));
    let some = generate_with(&["--skew", "zipf"], "clean", 20_000, 7);
    // The rest is sent while the page is open, so that the rates are not zero.
    let (before, meanwhile) = some.split_at(some.len() - 2_700);
    post(page.service.client(), before);
    page.service.wait_until_answered(before.len());
    be_as_wide_as(&page, 1_280, 1_000);
    prefer(&page, "light");
    page.open("?span=30d&user=ann");
    page.wait_for_starts();
    eventually("the sessions are listed", || (page.texts(".session").len() == 5).then_some(()));
    let mut rest = meanwhile;
    for length in [300, 900, 700, 800] {
        let (batch, behind) = rest.split_at(length);
        let refused = event("ann", "null", "start", ENDING_AT, "SK");
        let body = joined(&[batch, &[refused]].concat());
        assert_eq!(page.service.client().post("/v1/events", &[LINES], &body).unwrap().status, 200);
        rest = behind;
        let sent = page
            .service
            .metrics()
            .sum("bookend_ingest_events_total{code=\"\",outcome=\"accepted\"}");
        eventually("the page shows it", || {
            let shown = page.text("#codes tbody td.number");
            (number(&shown) as f64 == sent).then_some(())
        });
    }
    page.browser.run("document.activeElement.blur(); scrollTo(0, 0)", &[]);
    let all = json!({ "captureBeyondViewport": true, "format": "png" });
    let picture = page.browser.devtools("Page.captureScreenshot", &all);
    let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "it is a PNG image");
    assert!(picture.len() < 200_000, "{} bytes: too large for the documentation", picture.len());
    #[expect(clippy::disallowed_methods, reason = "a test setting, not one of the service")]
    let renewed = env::var_os(PICTURE);
    if let Some(path) = renewed {
        fs::write(path, picture).unwrap();
    }
}
