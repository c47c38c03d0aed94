//! The sessions of a user: exactly those of the service's replies. Every id is shown as plain text.

use serde_json::Value;

use crate::{
    client::escaped,
    driver::{DOWN, ENTER},
    page::{Page, event, texts},
    service::eventually,
};

/// 25 complete sessions of `user`, one per hour, an open one and an orphan. The session ids begin
/// with `name`.
fn sessions(user: &str, name: &str) -> Vec<Vec<u8>> {
    let at = |hour: u32, minute: u32| {
        format!("2016-11-{:02}T{:02}:{minute:02}:00Z", 28 + hour / 24, hour % 24)
    };
    let complete = (0..25).flat_map(|hour| {
        let session = format!("{name}{hour}");
        [
            event(user, &session, "end", &at(hour, 40), ""),
            event(user, &session, "start", &at(hour, 5), "SK"),
        ]
    });
    let single = [
        event(user, &format!("{name}open"), "start", "2016-12-01T08:00:00Z", "DE"),
        event(user, &format!("{name}orphan"), "end", "2016-11-30T08:00:00Z", ""),
    ];
    complete.chain(single).collect()
}

/// The sessions of `user` with `status`, as the service returns them.
fn answered(page: &Page, user: &str, status: &str) -> Vec<Value> {
    let path = format!("/v1/users/{}/sessions?status={status}&limit=100", escaped(user));
    page.service.client().ask(&path)["sessions"].as_array().unwrap().clone()
}

fn ids(sessions: &[Value]) -> Vec<String> {
    sessions.iter().map(|session| session["session_id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the listed sessions with `status`, from top to bottom.
fn listed(page: &Page, status: &str) -> Vec<String> {
    texts(&page.browser, &format!(".session:has(.status.{status}) .id"))
}

fn summary(page: &Page, says: &str) -> String {
    eventually(says, || Some(page.text("#user-summary")).filter(|text| text.contains(says)))
}

#[test]
fn a_user_s_sessions_are_listed_paged_and_explained() {
    let page = Page::over(&sessions("ann", "s"));
    page.open("");
    page.tab_to("#user-id");
    page.browser.press(&format!("ann{ENTER}"));
    let said = summary(&page, "complete");
    assert_eq!(said, "User “ann”: the 20 newest complete sessions, 1 open session, 1 orphan.");
    let complete = ids(&answered(&page, "ann", "complete"));
    assert_eq!((complete.len(), listed(&page, "complete")), (25, complete[..20].to_vec()));
    assert_eq!(listed(&page, "open"), ids(&answered(&page, "ann", "open")));
    assert_eq!(listed(&page, "orphan"), ids(&answered(&page, "ann", "orphan")));
    page.browser.click("[data-key='more complete']");
    summary(&page, "25 complete sessions");
    assert_eq!(listed(&page, "complete"), complete);
    assert!(page.texts("#more-sessions button").is_empty(), "there are no further pages");

    // The list begins with the open session, which is the newest.
    page.browser.run("document.querySelector('.session').focus()", &[]);
    page.browser.press(&format!("{DOWN}{DOWN}{ENTER}"));
    let why = eventually("it is explained", || {
        Some(page.text(".explanation .why")).filter(|text| !text.is_empty())
    });
    let explained = page.service.client().ask(&format!("/v1/users/ann/sessions/{}", complete[0]));
    assert_eq!(why, explained["why"].as_str().unwrap());
    let facts = page.texts(".explanation tbody tr");
    assert_eq!(facts, ["start\t2016-11-29 00:05:00\tSK Slovakia", "end\t2016-11-29 00:40:00"]);
    let place = "const bar = document.querySelector('.session[aria-expanded=true] .bar'); \
                 const [all, own] = [bar, bar.querySelector('b')].map((it) => it.getBoundingClientRect()); \
                 return [own.left >= all.left, own.right <= all.right, own.width > 0]";
    assert_eq!(
        page.browser.run(place, &[]),
        serde_json::json!([true, true, true]),
        "its bar is within the axis"
    );

    // A link shows the same view.
    page.open(&format!("?user=ann&session={}", complete[0]));
    let again = eventually("it is explained", || {
        Some(page.text(".explanation .why")).filter(|text| !text.is_empty())
    });
    assert_eq!(again, why);
    page.assert_clean();
}

#[test]
fn an_unknown_user_is_said() {
    let page = Page::over(&sessions("ann", "s"));
    page.open("?user=bob");
    let said = summary(&page, "no sessions");
    assert_eq!(said, "User “bob” has no sessions within the last year.");
    page.open("?user=..");
    summary(&page, "browsers cannot request the id “..”");
    page.assert_clean();
}

#[test]
fn hostile_ids_are_text_and_run_nothing() {
    let markup = "<img src=x onerror=document.title='ran'><script>document.title='ran'</script>";
    for (user, session) in [(markup, markup), ("a/b%2F?#&+ \u{1f34b}", "../%00/\u{202e}\"'`${1}")] {
        let page = Page::over(&sessions(user, session));
        page.open(&format!(
            "?user={}&session={}",
            escaped(user),
            escaped(&format!("{session}open"))
        ));
        let said = summary(&page, "complete");
        assert!(said.contains(&format!("“{user}”")), "{said:?}");
        let complete = ids(&answered(&page, user, "complete"));
        assert_eq!(listed(&page, "complete"), complete[..20]);
        let named = format!("Facts of session {session}open");
        eventually("it is explained", || {
            page.texts(".explanation caption").contains(&named).then_some(())
        });
        let foreign =
            "return [document.title, document.querySelectorAll('main :is(img, script)').length]";
        assert_eq!(page.browser.run(foreign, &[]), serde_json::json!(["Bookend: dashboard", 0]));
        page.assert_clean();
    }
}
