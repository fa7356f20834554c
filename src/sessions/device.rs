//! The device of a session, as far as a `User-Agent` header tells: browser and system, without versions, so that an update of
//! either makes no new device.

/// Browsers by the product that only their user agent has. Most also name the browsers that they are compatible with, so the
/// first match counts.
const BROWSERS: &[(&str, &str)] = &[
    ("MicroMessenger/", "WeChat"),
    ("QQBrowser/", "QQ Browser"),
    ("UCBrowser/", "UC Browser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("OPR/", "Opera"),
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];
/// An iPhone also names Mac OS X, an Android also Linux.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// `Firefox on Windows`. A program that is no known browser is named by its user agent without the versions of its products.
pub fn name(user_agent: Option<&str>) -> String {
    let user_agent = user_agent.unwrap_or_default();
    let first = |table: &[(&str, &'static str)]| {
        let entry = table.iter().find(|(part, _)| user_agent.contains(part));
        entry.map(|(_, name)| *name)
    };
    match (first(BROWSERS), first(SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        _ => without_versions(user_agent),
    }
}

/// `curl/8.5.0 (x86_64)` becomes `curl (x86_64)`.
fn without_versions(user_agent: &str) -> String {
    let mut products = user_agent.split('/');
    let mut result = products.next().unwrap_or_default().to_owned();
    for product in products {
        let is_version = product.starts_with(|c: char| c.is_ascii_digit());
        let end = product.find([' ', ';', ')']).unwrap_or(product.len());
        let (version, rest) = product.split_at(end);
        if !is_version {
            result.push('/');
            result.push_str(version);
        }
        result.push_str(rest);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_of_browser_or_system_is_no_new_device() {
        for (user_agents, device) in [
            (
                &[
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
                    "Mozilla/5.0 (Windows NT 11.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0",
                ][..],
                "Firefox on Windows",
            ),
            (
                &[
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
                    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) AppleWebKit/617.1 (KHTML, like Gecko) Version/18.0 Safari/617.1",
                ],
                "Safari on macOS",
            ),
            (
                &[
                    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
                ],
                "Chrome on Android",
            ),
            (
                &[
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91",
                ],
                "Edge on Windows",
            ),
            (
                &[
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/119.0.6045.109 Mobile/15E148 Safari/604.1",
                ],
                "Chrome on iOS",
            ),
            (&["curl/8.5.0", "curl/8.6.1"], "curl"),
            (
                &["app/1.2 (Linux; build 7) lib/3", "app/2 (Linux; build 7) lib/4.1"],
                "app (Linux; build 7) lib",
            ),
            (&["device-1"], "device-1"),
            (&["a/b"], "a/b"),
            (&[""], ""),
        ] {
            for user_agent in user_agents {
                assert_eq!(name(Some(user_agent)), device);
            }
        }
        assert_eq!(name(None), "");
    }
}
