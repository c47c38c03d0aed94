//! Session starts by country: the ranking and the chart show the replies of the service, and work
//! with the keyboard alone.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::{
    driver::{ENTER, RIGHT},
    page::{Page, number},
    service::eventually,
};

/// A window that does not move with the clock, with hourly slots.
const WINDOW: &str = "from=2016-11-25T09:30:00Z&to=2016-12-02T08:00:00Z";

/// The number of countries that the chart shows by name.
const NAMED: usize = 6;

/// The countries with starts in descending order, as the service counts them.
fn counted(page: &Page, window: &str) -> Vec<(String, u64)> {
    let reply = page.service.client().ask(&format!("/v1/session-starts/counts?{window}"));
    let countries: HashMap<String, u64> =
        serde_json::from_value(reply["countries"].clone()).unwrap();
    let mut counted: Vec<_> = countries.into_iter().filter(|(_, starts)| *starts > 0).collect();
    counted.sort_by(|(code, starts), (other, others)| {
        others.cmp(starts).then_with(|| code.cmp(other))
    });
    counted
}

#[test]
fn the_ranking_is_what_the_service_counts() {
    let page = Page::over_a_month();
    page.open(&format!("?span=custom&{WINDOW}"));
    page.wait_for_starts();
    let expected = counted(&page, WINDOW);
    assert!(expected.len() > 20, "too few countries for the test: {expected:?}");
    assert_eq!(page.ranking(), expected[..12], "the first of them");
    page.browser.click("#more-countries");
    assert_eq!(page.ranking(), expected, "all of them");
    let total: u64 = expected.iter().map(|(_, starts)| starts).sum();
    let summary = page.text("#starts-summary").replace(',', "");
    let said = format!("{total} session starts in {} of", expected.len());
    assert!(summary.starts_with(&said), "{summary:?} says {said:?}");
    assert!(summary.contains("from 2016-11-25 09:30 to 2016-12-02 08:00"), "{summary:?}");
    page.assert_clean();
}

#[test]
fn the_chart_holds_the_series_that_the_service_answers() {
    let page = Page::over_a_month();
    page.open(&format!("?span=custom&{WINDOW}"));
    page.wait_for_starts();
    let reply = page.service.client().ask(&format!("/v1/session-starts/counts?{WINDOW}&step=hour"));
    let ranked = counted(&page, WINDOW);
    let place: HashMap<_, _> = ranked
        .iter()
        .enumerate()
        .map(|(place, (code, _))| (code.as_str(), place.min(NAMED)))
        .collect();
    let mut expected = BTreeMap::<String, Vec<u64>>::new();
    for (country, slots) in reply["series"].as_object().unwrap() {
        for slot in slots.as_array().unwrap() {
            let row = expected.entry(slot["ts"].as_str().unwrap().to_owned());
            let row = row.or_insert_with(|| vec![0; NAMED + 1]);
            row[place[country.as_str()]] += slot["starts"].as_u64().unwrap();
        }
    }
    page.browser.click("#starts-table summary");
    eventually("the table is there", || (!page.texts("#starts-table td").is_empty()).then_some(()));
    let script = "return [...document.querySelectorAll('#starts-table tbody tr')].map((row) => \
                  [row.querySelector('time').dateTime, ...[...row.querySelectorAll('td')].map((it) => it.innerText)])";
    let rows: Vec<Vec<String>> = serde_json::from_value(page.browser.run(script, &[])).unwrap();
    let shown: BTreeMap<_, Vec<_>> = rows
        .iter()
        .map(|row| {
            (row[0].replace(".000Z", "Z"), row[1..].iter().map(|text| number(text)).collect())
        })
        .collect();
    assert_eq!(shown, expected);
    let heads = page.texts("#starts-table thead th");
    let named = ranked[..NAMED].iter().map(|(code, _)| code.as_str());
    assert_eq!(heads, [&["From"][..], &named.collect::<Vec<_>>(), &["others"]].concat());
    page.assert_clean();
}

#[test]
fn a_window_an_order_and_a_country_are_chosen_by_keyboard_alone() {
    let page = Page::over_a_month();
    page.open("");
    page.wait_for_starts();
    let day = page.ranking();
    page.tab_to("[name=span]");
    page.browser.press(RIGHT);
    eventually("the ranking changes", || (page.ranking() != day).then_some(()));
    assert!(page.address().ends_with("?span=7d"), "{}", page.address());
    assert_eq!(page.ranking(), counted(&page, "days=7")[..12]);

    page.tab_to("[data-key='sort country']");
    page.browser.press(ENTER);
    let codes: Vec<_> = page.ranking().into_iter().map(|(code, _)| code).collect();
    assert!(codes.is_sorted(), "{codes:?}");
    let sorted = "return document.activeElement.closest('th').ariaSort";
    assert_eq!(page.browser.run(sorted, &[]), "ascending");

    page.tab_to("button.country");
    page.browser.press(ENTER);
    let legend = page.texts("#starts-legend li");
    assert!(legend.len() == 1 && legend[0].starts_with(&codes[0]), "{legend:?}");
    let chosen = "return document.activeElement.ariaPressed";
    assert_eq!(page.browser.run(chosen, &[]), "true", "the pressed button keeps the focus");
    // The address contains the view, and the browser's back button restores the old one.
    assert!(
        page.address().ends_with(&format!("?span=7d&country={}", codes[0])),
        "{}",
        page.address()
    );
    page.browser.run("history.back()", &[]);
    eventually("all countries are back", || {
        (page.texts("#starts-legend li").len() > 1).then_some(())
    });
    page.assert_clean();
}

#[test]
fn a_window_of_one_s_own_begins_with_the_one_that_is_shown() {
    let page = Page::over_a_month();
    page.open("?span=7d");
    page.wait_for_starts();
    page.browser.click("#spans label:last-child");
    let value = |id: &str| {
        page.browser.run("return document.getElementById(arguments[0]).value", &[id.into()])
    };
    let from = value("from");
    let a_week_ago = from.as_str().unwrap().starts_with("2016-11-25T15:0");
    assert!(a_week_ago, "{from} is not a week before the service's now");
    let set = "document.getElementById('from').value = '2016-12-01T00:00'; document.getElementById('to').value = '2016-12-02T00:00'";
    page.browser.run(set, &[]);
    page.browser.click("#custom button");
    let window = "from=2016-12-01T00:00:00Z&to=2016-12-02T00:00:00Z";
    let expected = counted(&page, window);
    let shown = eventually("the day is shown", || {
        Some(page.ranking()).filter(|shown| *shown == expected[..12])
    });
    assert_eq!(shown.len(), 12);
    // The page shows the error message of the service for an invalid window.
    page.browser.run(&set.replace("2016-12-02", "2016-11-02"), &[]);
    page.browser.click("#custom button");
    let notice = eventually("an error is shown", || {
        Some(page.text("#starts-notice")).filter(|text| !text.is_empty())
    });
    assert!(notice.contains("`from` must not be after `to`"), "{notice}");
    let refusals = page.browser.log("browser");
    assert!(
        refusals.iter().all(|entry: &Value| entry["message"].to_string().contains("400")),
        "{refusals:?}"
    );
}
