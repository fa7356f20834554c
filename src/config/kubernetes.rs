//! The variables that Kubernetes and Docker links set for a Service named `keyward` or `keyward-…`.

/// Whether the variable is one of a Service and not a misspelled setting:
/// `KEYWARD_SERVICE_HOST`, `KEYWARD_SERVICE_PORT_HTTP`, `KEYWARD_PORT=tcp://…`, `KEYWARD_DB_PORT_5432_TCP_ADDR`.
pub(super) fn is_service_variable(variable: &str, value: &str) -> bool {
    let ends_with_word = |word: &str| variable.strip_suffix(word).is_some_and(|rest| rest.ends_with('_'));
    ends_with_word("SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || (ends_with_word("PORT") && is_address(value))
        || is_port_variable(variable, value)
}

/// `…_PORT_<number>_<protocol>`, with an address; with `_PROTO`, `_PORT` or `_ADDR`, a part of it.
fn is_port_variable(variable: &str, value: &str) -> bool {
    let Some((_, rest)) = variable.rsplit_once("_PORT_").filter(|(_, rest)| !rest.is_empty()) else {
        return false;
    };
    let mut words = rest.split('_');
    let is_number = |text: &str| text.parse::<u16>().is_ok();
    let is_numbered = words.next().is_some_and(is_number);
    let has_protocol = words.next().is_some_and(|word| is_protocol(&word.to_lowercase()));
    let is_value = match words.next() {
        None => is_address(value),
        Some("PROTO") => is_protocol(value),
        Some("PORT") => is_number(value),
        Some("ADDR") => value.parse::<std::net::IpAddr>().is_ok(),
        Some(_) => false,
    };
    is_numbered && has_protocol && is_value && words.next().is_none()
}

fn is_protocol(text: &str) -> bool {
    matches!(text, "tcp" | "udp" | "sctp")
}

fn is_address(value: &str) -> bool {
    value
        .split_once("://")
        .is_some_and(|(protocol, _)| is_protocol(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_service_are_recognised() {
        for name in ["KEYWARD", "KEYWARD_DB"] {
            for (suffix, value) in [
                ("SERVICE_HOST", "10.96.0.7"),
                ("SERVICE_PORT", "80"),
                ("SERVICE_PORT_HTTP", "80"),
                ("PORT", "tcp://10.96.0.7:80"),
                ("PORT_80_TCP", "tcp://10.96.0.7:80"),
                ("PORT_80_TCP_PROTO", "tcp"),
                ("PORT_80_TCP_PORT", "80"),
                ("PORT_80_TCP_ADDR", "10.96.0.7"),
                ("PORT_53_UDP", "udp://[fd00::7]:53"),
                ("PORT_53_UDP_ADDR", "fd00::7"),
            ] {
                let variable = format!("{name}_{suffix}");
                assert!(is_service_variable(&variable, value), "{variable}={value}");
            }
        }
    }

    #[test]
    fn a_misspelled_setting_is_not_taken_for_one() {
        for (variable, value) in [
            ("KEYWARD_PORT", "8080"),
            ("KEYWARD_BIND_PORT", "8080"),
            ("KEYWARD_SMTPURL", "tcp://10.96.0.7:25"),
            ("KEYWARD_PORT_80_TCP_ADDR", "mail.example.com"),
            ("KEYWARD_PORT_HTTP", "80"),
            ("KEYWARD_HOST", "10.96.0.7"),
        ] {
            assert!(!is_service_variable(variable, value), "{variable}={value}");
        }
    }
}
