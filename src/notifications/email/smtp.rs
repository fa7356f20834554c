//! Delivery to a mail server (RFC 5321): connection, TLS, and the meaning of its error replies.
//!
//! Each delivery run opens its own connections and closes them, so that none can be stale. Each step has a timeout, after
//! which the connection is dropped and never reused: a late reply must not be read as the reply to the next e-mail.
//! (lettre's own pool would reuse it. lettre's `tracing` feature is off because it logs e-mails.)

use std::fmt;
use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;
use url::{Host, Url};

use super::compose::ComposedEmail;
use crate::notifications::text::clean;

/// Connecting, TLS and authentication together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connecting to one of the server's addresses; leaves time to try another.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);
/// Sending one e-mail, including the server's last reply. Long, because after a timeout the server may have accepted the
/// e-mail, which is then sent twice.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(20);
/// RSET and QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq)]
pub enum SendError {
    /// There is no connection to the server, so no other e-mail can be sent either.
    Unreachable(String),
    /// The server refused this e-mail.
    Refused {
        /// The server will refuse it again.
        permanent: bool,
        reason: String,
    },
}

impl SendError {
    fn unreachable(reason: &str) -> Self {
        Self::Unreachable(reason.to_owned())
    }
}

#[derive(Clone)]
enum Security {
    /// TLS from the first byte (RFC 8314).
    Implicit(TlsParameters),
    /// STARTTLS (RFC 3207); without it, no e-mail is sent.
    Required(TlsParameters),
    /// STARTTLS where the server offers it. The certificate isn't verified: an attacker who can replace it can also hide the
    /// offer.
    Opportunistic(TlsParameters),
    None,
}

/// The configured mail server.
#[derive(Clone)]
pub struct SmtpServer {
    host: String,
    port: u16,
    security: Security,
    credentials: Option<Credentials>,
    hello: ClientId,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpServer({}:{})", self.host, self.port)
    }
}

impl SmtpServer {
    /// Reads `smtp://` or `smtps://` `[user:password@]host[:port][?tls=required|opportunistic|none]`. User and password are
    /// percent-encoded. The default port is 465 for `smtps`, otherwise 587 with a user and 25 without one. `own_host` is the
    /// name sent with EHLO.
    ///
    /// # Errors
    /// One line that doesn't contain the password.
    pub fn new(url: &str, own_host: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            _ => return Err("the host is missing".to_owned()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("only ?tls= may follow the port".to_owned());
        }
        let mut tls = None;
        for (name, value) in url.query_pairs() {
            if name != "tls" || tls.is_some() {
                return Err("only the option tls may follow the ?, once".to_owned());
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
            ("smtp", Some("none")) => Security::None,
            _ => return Err("tls must be required, opportunistic or none; smtps is always required".to_owned()),
        };
        let default_port = match (&security, &credentials) {
            (Security::Implicit(_), _) => 465,
            (_, Some(_)) => 587,
            (_, None) => 25,
        };
        Ok(Self {
            port: url.port().unwrap_or(default_port),
            host,
            security,
            credentials,
            hello: client_id(own_host),
        })
    }

    /// Host and port, for the log.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the password may be sent unencrypted over a network.
    pub fn exposes_password(&self) -> bool {
        let local = self.host == "localhost" || self.host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.credentials.is_some() && !local && matches!(self.security, Security::Opportunistic(_) | Security::None)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let server = (self.host.as_str(), self.port);
        let implicit = match &self.security {
            Security::Implicit(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(ADDRESS_TIMEOUT), &self.hello, implicit, None).await?;
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

/// A connection to the server, opened for the first e-mail and reopened after a failure.
pub struct SmtpSession<'a> {
    server: &'a SmtpServer,
    connection: Option<Box<AsyncSmtpConnection>>,
}

impl<'a> SmtpSession<'a> {
    /// Connects to nothing yet.
    pub const fn new(server: &'a SmtpServer) -> Self {
        Self {
            server,
            connection: None,
        }
    }

    pub async fn send(&mut self, email: &ComposedEmail) -> Result<(), SendError> {
        // Taken out of the session, and put back only when it can be used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match timeout(CONNECT_TIMEOUT, self.server.connect()).await {
                Ok(Ok(connection)) => Box::new(connection),
                Ok(Err(error)) => return Err(SendError::Unreachable(describe(&error))),
                Err(_) => return Err(SendError::unreachable("timeout while connecting")),
            },
        };
        match timeout(SEND_TIMEOUT, transmit(&mut connection, email)).await {
            Ok(Ok(())) => {
                self.connection = Some(connection);
                Ok(())
            }
            Ok(Err((step, error))) => {
                // 421 closes the connection (RFC 5321 §3.8); after any other error reply, RSET makes it usable again.
                let replied = error.status().is_some_and(|code| code.to_string() != "421");
                if replied && matches!(timeout(QUIT_TIMEOUT, connection.command(Rset)).await, Ok(Ok(_))) {
                    self.connection = Some(connection);
                }
                Err(SendError::Refused {
                    // A refused sender is a wrong setting, which the operator will correct.
                    permanent: step != Step::Sender && error.is_permanent(),
                    reason: email.redact(&describe(&error)),
                })
            }
            Err(_) => Err(SendError::Refused {
                permanent: false,
                reason: "timeout while sending".to_owned(),
            }),
        }
    }

    pub async fn close(self) {
        if let Some(mut connection) = self.connection {
            // An error doesn't matter: the server has accepted the e-mails.
            let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
        }
    }
}

/// The part of an e-mail that the server was replying to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Sender,
    Recipient,
    Content,
}

async fn transmit(connection: &mut AsyncSmtpConnection, email: &ComposedEmail) -> Result<(), (Step, SmtpError)> {
    let sender = Mail::new(email.envelope.from().cloned(), Vec::new());
    connection
        .command(sender)
        .await
        .map_err(|error| (Step::Sender, error))?;
    for recipient in email.envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        connection
            .command(recipient)
            .await
            .map_err(|error| (Step::Recipient, error))?;
    }
    connection.command(Data).await.map_err(|error| (Step::Content, error))?;
    connection
        .message(&email.bytes)
        .await
        .map_err(|error| (Step::Content, error))?;
    Ok(())
}

/// The error, which includes its causes, as one line of bounded length.
fn describe(error: &SmtpError) -> String {
    clean::line(&error.to_string())
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

/// Trusts the system's certificates, to which an operator can add their own; Mozilla's built-in ones where the system has
/// none.
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
