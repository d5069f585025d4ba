//! Who may reach a collector: the token and the certificates that the command line names, and what an address that
//! other machines can reach must have.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use spanlint_collector::access::Token;
use spanlint_collector::tls::{ClientFiles, Tls, TlsFiles};

use crate::attach::remote::Access;
use crate::cli::{ClientArguments, SafetyArguments, TokenArguments, WatchArguments};

/// The variable that holds the token itself. It is no option, so that no list of processes shows it.
const TOKEN_VARIABLE: &str = "SPANLINT_TOKEN";

/// The token that is named by a file or held by the variable, if any.
pub(crate) fn token(arguments: &TokenArguments) -> anyhow::Result<Option<Token>> {
    if let Some(path) = &arguments.token_file {
        return Token::read(path).map(Some).with_context(|| path.display().to_string());
    }
    match std::env::var(TOKEN_VARIABLE) {
        Ok(text) if !text.is_empty() => Token::new(&text).map(Some).context(TOKEN_VARIABLE),
        _ => Ok(None),
    }
}

/// What to show to another collector, and whom to believe to be it.
pub(crate) fn access(arguments: &ClientArguments) -> anyhow::Result<Access> {
    let identity = arguments.tls_cert.clone().zip(arguments.tls_key.clone());
    let files = ClientFiles { authority: arguments.authority.tls_ca.clone(), identity };
    Ok(Access { token: token(&arguments.token)?, files })
}

/// The same for `watch`, whose options are those of a collector.
pub(crate) fn access_of_watch(arguments: &WatchArguments) -> anyhow::Result<Access> {
    let SafetyArguments { token, tls_cert, tls_key, .. } = arguments.receiver.otlp.safety.clone();
    access(&ClientArguments { token, authority: arguments.authority.clone(), tls_cert, tls_key })
}

/// What connections are secured with, if anything.
pub(crate) fn tls(arguments: &SafetyArguments) -> anyhow::Result<Option<Tls>> {
    let Some((certificate, key)) = arguments.tls_cert.clone().zip(arguments.tls_key.clone()) else { return Ok(None) };
    let files = TlsFiles { certificate, key, client_authority: arguments.tls_client_ca.clone() };
    Ok(Some(Tls::load(&files)?))
}

/// Fails where other machines can reach one of `addresses` and nothing keeps strangers out.
pub(crate) fn allow(
    addresses: &[SocketAddr],
    arguments: &SafetyArguments,
    token: Option<&Token>,
    tls: Option<&Tls>,
) -> anyhow::Result<()> {
    if token.is_some() || tls.is_some_and(Tls::is_mutual) || arguments.insecure {
        return Ok(());
    }
    if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
        bail!(
            "{open} is open to other machines: give --token-file FILE (or {TOKEN_VARIABLE}), or --tls-cert, --tls-key and \
             --tls-client-ca, or listen on 127.0.0.1, or say --insecure to let anybody in"
        );
    }
    Ok(())
}
