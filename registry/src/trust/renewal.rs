//! A machine's certificate is replaced while it is used.

use std::time::Duration;

use super::TrustError;
use super::papers::{Papers, Request};
use crate::etcd::{EtcdConfig, EtcdStore};
use crate::store::ErrorKind;

/// Seconds after which the certificate is looked at again at the latest: wall clocks jump, and machines sleep.
const LOOKED_AT: u64 = 3600;
/// After an attempt that failed.
const TRIED_AGAIN: Duration = Duration::from_secs(60);

/// Replaces a machine's certificate whenever a third of its time is left. New connections use the new one; what is open
/// stays open. Ends with the task that runs it.
pub async fn keep_current(mut papers: Papers, store: EtcdStore, config: EtcdConfig) {
    loop {
        tokio::time::sleep(Duration::from_secs(papers.renewal_in().min(LOOKED_AT))).await;
        if papers.renewal_in() > 0 {
            continue;
        }
        if let Err(why) = renew(&mut papers, &store, &config).await {
            tracing::error!(
                "this machine's certificate for the registry, good until {}, was not renewed: {why}; it is tried again",
                super::shown(papers.not_after())
            );
            tokio::time::sleep(TRIED_AGAIN).await;
        } else {
            let until = super::shown(papers.not_after());
            tracing::info!("this machine's certificate for the registry was renewed, and is good until {until}");
        }
    }
}

async fn renew(papers: &mut Papers, store: &EtcdStore, config: &EtcdConfig) -> Result<(), String> {
    let words = |error: TrustError| error.to_string();
    let machine = papers.machine().cloned().ok_or("it is not in a machine's name")?;
    let request = Request::new(&machine).map_err(words)?;
    let certificate = store.certify(request.der()).await.map_err(|error| match error.kind {
        ErrorKind::Unimplemented => "the registry is an etcd, which renews none: set etcd_servers=, etcd_cafile=, \
                                     etcd_certfile=, and etcd_keyfile= on this machine, with a certificate of your own, or \
                                     migrate back before it runs out"
            .to_owned(),
        _ => error.to_string(),
    })?;
    papers.renew(&request, &certificate).map_err(words)?;
    store.reconnect(&EtcdConfig { tls: papers.files(), ..config.clone() }).map_err(|error| error.to_string())
}
