//! To a mail server (RFC 5321): the connections, their security, and what its refusals mean.
//!
//! Each delivery round opens its own connections and closes them; none is kept, so none can be stale. All steps have a
//! deadline, after which the connection is dropped, never reused: an answer that comes late must not be taken for the
//! answer to the next mail. (lettre's own pool would reuse it. Nor is lettre's `tracing` feature on: it logs mails.)

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;
use url::{Host, Url};

use super::letter::Letter;

/// For the whole way to the first mail: connecting, TLS, logging in.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// For one of the server's addresses, so that a dead one leaves time for another.
const ADDRESS_WITHIN: Duration = Duration::from_secs(4);
/// For one mail, the server's last word included. Longer, for who gives up there may have sent it nevertheless.
pub const SEND_WITHIN: Duration = Duration::from_secs(20);
/// For saying goodbye.
const QUIT_WITHIN: Duration = Duration::from_secs(2);

/// Why a mail did not leave.
#[derive(Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no getting to the server; no other mail will fare better.
    Unreachable(String),
    /// This mail was not taken.
    Refused {
        /// Whether the server will never take it.
        permanent: bool,
        /// What it said.
        reason: String,
    },
}

/// What makes the connection private.
#[derive(Clone)]
enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit(TlsParameters),
    /// STARTTLS (RFC 3207), or nothing.
    Required(TlsParameters),
    /// STARTTLS where it is offered, with whatever certificate: who could forge one could as well hide the offer.
    Opportunistic(TlsParameters),
    /// None.
    Plain,
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Smtp({}:{})", self.host, self.port)
    }
}

impl Smtp {
    /// From `smtp://` or `smtps://` `[user:password@]host[:port][?tls=required|opportunistic|none]`; `own_host` is the name
    /// to greet with. User and password are percent-encoded.
    ///
    /// Ports, where none is given: 465 for `smtps`, else 587 with a user and 25 without.
    ///
    /// # Errors
    /// One line that says what is wrong, without the password.
    pub fn new(url: &str, own_host: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            _ => return Err("the host is missing".to_owned()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("nothing may follow the port but ?tls=".to_owned());
        }
        let mut tls = None;
        for (name, value) in url.query_pairs() {
            if name != "tls" || tls.is_some() {
                return Err(format!("there is no option {name}, or it is given twice"));
            }
            tls = Some(value.into_owned());
        }
        let user = decoded(url.username())?;
        let password = decoded(url.password().unwrap_or_default())?;
        let credentials = (!user.is_empty()).then(|| Credentials::new(user, password));
        let security = match (url.scheme(), tls.as_deref()) {
            ("smtps", None | Some("required")) => Security::Implicit(parameters(&host, true)?),
            ("smtp", Some("required")) => Security::Required(parameters(&host, true)?),
            ("smtp", None | Some("opportunistic")) => Security::Opportunistic(parameters(&host, false)?),
            ("smtp", Some("none")) => Security::Plain,
            _ => return Err("tls must be required, opportunistic or none; smtps is always required".to_owned()),
        };
        let usual_port = match (&security, &credentials) {
            (Security::Implicit(_), _) => 465,
            (_, Some(_)) => 587,
            (_, None) => 25,
        };
        Ok(Self {
            port: url.port().unwrap_or(usual_port),
            host,
            security,
            credentials,
            hello: client_id(own_host),
        })
    }

    /// Host and port, for the log.
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the password may travel where others can read it.
    pub fn exposes_password(&self) -> bool {
        let local = self.host == "localhost" || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.credentials.is_some() && !local && matches!(self.security, Security::Opportunistic(_) | Security::Plain)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let server = (self.host.as_str(), self.port);
        let implicit = match &self.security {
            Security::Implicit(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let address_within = Some(ADDRESS_WITHIN);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, address_within, &self.hello, implicit, None).await?;
        match &self.security {
            Security::Required(parameters) => connection.starttls(parameters.clone(), &self.hello).await?,
            Security::Opportunistic(parameters) if connection.can_starttls() => {
                connection.starttls(parameters.clone(), &self.hello).await?;
            }
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// One connection at a time to the server, opened when the first mail needs it.
pub struct Line<'a> {
    smtp: &'a Smtp,
    connection: Option<Box<AsyncSmtpConnection>>,
}

impl<'a> Line<'a> {
    /// A line to `smtp`, not connected yet.
    pub const fn new(smtp: &'a Smtp) -> Self {
        Self { smtp, connection: None }
    }

    /// Sends `letter`.
    pub async fn send(&mut self, letter: &Letter) -> Result<(), Trouble> {
        // Taken out, so that it is dropped unless it comes out of this in good order.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match timeout(CONNECT_WITHIN, self.smtp.connect()).await {
                Ok(Ok(connection)) => Box::new(connection),
                Ok(Err(error)) => return Err(Trouble::Unreachable(describe(&error))),
                Err(_) => return Err(Trouble::Unreachable("timeout while connecting".to_owned())),
            },
        };
        let (trouble, usable) = match timeout(SEND_WITHIN, converse(&mut connection, letter)).await {
            Ok(Ok(())) => (None, true),
            Ok(Err((step, error))) => {
                // 421 closes the connection (RFC 5321 §3.8); a reset after any other refusal makes it good for the next.
                let answered = error.status().is_some_and(|code| code.to_string() != "421");
                let usable = answered && matches!(timeout(QUIT_WITHIN, connection.command(Rset)).await, Ok(Ok(_)));
                let trouble = Trouble::Refused {
                    // A refused sender is a wrong setting, which somebody will put right.
                    permanent: step != Step::Sender && error.is_permanent(),
                    reason: letter.redact(&describe(&error)),
                };
                (Some(trouble), usable)
            }
            Err(_) => {
                let reason = "timeout while sending".to_owned();
                (
                    Some(Trouble::Refused {
                        permanent: false,
                        reason,
                    }),
                    false,
                )
            }
        };
        if usable {
            self.connection = Some(connection);
        }
        trouble.map_or(Ok(()), Err)
    }

    /// Says goodbye.
    pub async fn close(self) {
        if let Some(mut connection) = self.connection {
            // Nothing hangs on it: the mails are delivered.
            let _ = timeout(QUIT_WITHIN, connection.quit()).await;
        }
    }
}

/// How far a mail came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Sender,
    Recipient,
    Content,
}

async fn converse(connection: &mut AsyncSmtpConnection, letter: &Letter) -> Result<(), (Step, SmtpError)> {
    let sender = Mail::new(letter.envelope.from().cloned(), Vec::new());
    connection
        .command(sender)
        .await
        .map_err(|error| (Step::Sender, error))?;
    for recipient in letter.envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        connection
            .command(recipient)
            .await
            .map_err(|error| (Step::Recipient, error))?;
    }
    connection.command(Data).await.map_err(|error| (Step::Content, error))?;
    connection
        .message(&letter.bytes)
        .await
        .map_err(|error| (Step::Content, error))?;
    Ok(())
}

/// An error, which names its causes itself, in one line of bounded length.
fn describe(error: &SmtpError) -> String {
    super::clean::text(&error.to_string(), false)
}

fn decoded(text: &str) -> Result<String, String> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| "user and password must be UTF-8, percent-encoded".to_owned())
}

fn client_id(host: &str) -> ClientId {
    match Host::parse(host) {
        Ok(Host::Ipv4(ip)) => ClientId::Ipv4(ip),
        Ok(Host::Ipv6(ip)) => ClientId::Ipv6(ip),
        _ => ClientId::Domain(host.to_owned()),
    }
}

/// The system's certificates where it has any, so that an operator can add their own; else Mozilla's, built in.
fn parameters(host: &str, verify: bool) -> Result<TlsParameters, String> {
    let system = !rustls_native_certs::load_native_certs().certs.is_empty();
    let store = if system {
        CertificateStore::Default
    } else {
        CertificateStore::WebpkiRoots
    };
    TlsParameters::builder(host.to_owned())
        .certificate_store(store)
        .dangerous_accept_invalid_certs(!verify)
        .dangerous_accept_invalid_hostnames(!verify)
        .build()
        .map_err(|error| error.to_string())
}
