//! Both servers, asked the same.

use std::fmt::Debug;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbHashKvRequest, PbHashKvResponse,
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseKeepAliveRequest, PbLeaseKeepAliveResponse, PbLeaseLeasesRequest,
    PbLeaseLeasesResponse, PbLeaseRevokeRequest, PbLeaseRevokeResponse, PbLeaseTimeToLiveRequest,
    PbLeaseTimeToLiveResponse, PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbTxnRequest,
    PbTxnResponse,
};
use fleet_registry::embedded::{Embedded, EmbeddedConfig, ServeHandle};
use fleet_registry::store::PutRequest;
use tempfile::TempDir;
use tonic_prost::prost::Message;

use super::generate::{Counted, LEASES, Step, WatchStep, anything};
use super::servers::{Headed, Server};
use super::watching::Watching;
use crate::harness::{Etcd, within};

/// The embedded registry and a real etcd, which have been asked the same ever since they began.
pub(super) struct Sides {
    pub(super) ours: Server,
    pub(super) theirs: Server,
    watching: Watching,
    /// Where both stand.
    revision: i64,
    /// Etcd may be deleting still what it has compacted: until it is done its hash may cover that.
    compacting: bool,
    _keep: (ServeHandle, Embedded, TempDir, Etcd),
}

impl Sides {
    pub(super) async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let registry = Embedded::open(dir.path(), EmbeddedConfig::default()).expect("a new registry");
        let server = registry.serve(&"127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let etcd = Etcd::start().await;
        let ours = Server::connect(&server.address().to_string()).await;
        let theirs = Server::connect(&etcd.endpoint).await;
        let watching = Watching::open(&ours, &theirs).await;
        Self { ours, theirs, watching, revision: 1, compacting: false, _keep: (server, registry, dir, etcd) }
    }

    /// Begins a sequence.
    pub(super) async fn begin(&mut self) {
        self.watching = Watching::open(&self.ours, &self.theirs).await;
    }

    /// Ends a sequence: nothing of it is left but its revisions.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        self.settle(true).await?;
        for id in LEASES {
            self.step(Step::Revoke(id)).await?;
        }
        self.step(Step::Delete(anything())).await?;
        self.settle(false).await?;
        let request = PbCompactionRequest { revision: self.revision, physical: true };
        self.both("/etcdserverpb.KV/Compact", request, same::<PbCompactionResponse>).await?;
        self.compacting = false;
        Ok(())
    }

    /// Takes one step on both.
    pub(super) async fn step(&mut self, step: Step) -> Result<(), String> {
        let now = self.revision;
        match step {
            Step::Range(request) => {
                let request = PbRangeRequest::from(request.counted(now));
                self.both("/etcdserverpb.KV/Range", request, same::<PbRangeResponse>).await
            }
            Step::Put(request) => {
                self.both("/etcdserverpb.KV/Put", PbPutRequest::from(request), same::<PbPutResponse>).await
            }
            Step::Delete(request) => {
                let request = PbDeleteRequest::from(request);
                self.both("/etcdserverpb.KV/DeleteRange", request, same::<PbDeleteResponse>).await
            }
            Step::Txn(request) => {
                let request = PbTxnRequest::from(request.counted(now));
                self.both("/etcdserverpb.KV/Txn", request, same::<PbTxnResponse>).await
            }
            Step::Compact { ago, physical } => {
                // Watches that etcd is behind with would end here.
                self.settle(false).await?;
                let revision = at(ago, self.revision);
                self.compacting |= !physical;
                let request = PbCompactionRequest { revision, physical };
                self.both("/etcdserverpb.KV/Compact", request, same::<PbCompactionResponse>).await
            }
            Step::Grant(id, ttl) => {
                let request = PbLeaseGrantRequest { id, ttl };
                self.both("/etcdserverpb.Lease/LeaseGrant", request, same::<PbLeaseGrantResponse>).await
            }
            Step::Revoke(id) => {
                let request = PbLeaseRevokeRequest { id };
                self.both("/etcdserverpb.Lease/LeaseRevoke", request, same::<PbLeaseRevokeResponse>).await
            }
            Step::KeepAlive(id) => self.keep_alive(id).await,
            Step::TimeToLive(id, keys) => {
                let request = PbLeaseTimeToLiveRequest { id, keys };
                self.both("/etcdserverpb.Lease/LeaseTimeToLive", request, settle_time).await
            }
            Step::Leases => {
                let request = PbLeaseLeasesRequest {};
                self.both("/etcdserverpb.Lease/LeaseLeases", request, same::<PbLeaseLeasesResponse>).await
            }
            Step::Hash(_) if self.compacting => Ok(()),
            Step::Hash(ago) => {
                let request = PbHashKvRequest { revision: at(ago, now) };
                self.both("/etcdserverpb.Maintenance/HashKV", request, same::<PbHashKvResponse>).await
            }
            Step::Watch(watch) => {
                self.watching.begin(&watch, now).await;
                Ok(())
            }
            Step::Past(watches) => self.past(watches).await,
            Step::Cancel(which) => {
                // What etcd has not sent yet of a watch that ends is never sent.
                self.settle(false).await?;
                self.watching.cancel(which).await
            }
            Step::Progress => {
                self.settle(false).await?;
                self.watching.progress(self.revision).await;
                Ok(())
            }
        }
    }

    /// Watches that begin in the past, followed until both have told all of it.
    async fn past(&mut self, watches: Vec<WatchStep>) -> Result<(), String> {
        for watch in watches {
            self.watching.begin(&watch, self.revision).await;
        }
        self.settle(true).await
    }

    /// Reads from both watch streams all that there is to read, and compares it. Etcd tells of the past when it gets
    /// round to it; `all` waits for that.
    async fn settle(&mut self, all: bool) -> Result<(), String> {
        self.mark().await?;
        self.watching.settle(self.revision).await?;
        if all {
            // The second is begun after the first was told: whatever was begun before has been told by then.
            for time in 0..2 {
                self.watching.tell_of(self.revision, time).await?;
            }
            self.mark().await?;
            self.watching.settle(self.revision).await?;
        }
        Ok(())
    }

    /// Writes the key that is watched to see how far a stream is.
    async fn mark(&mut self) -> Result<(), String> {
        let request = PbPutRequest::from(PutRequest::new(super::watching::HOME, ""));
        self.both("/etcdserverpb.KV/Put", request, same::<PbPutResponse>).await
    }

    async fn keep_alive(&mut self, id: i64) -> Result<(), String> {
        let method = "/etcdserverpb.Lease/LeaseKeepAlive";
        let request = PbLeaseKeepAliveRequest { id };
        let (ours, theirs) = within("both", async {
            tokio::join!(
                self.ours.call_streaming::<_, PbLeaseKeepAliveResponse>(method, request),
                self.theirs.call_streaming::<_, PbLeaseKeepAliveResponse>(method, request)
            )
        })
        .await;
        equal(&ours, &theirs)
    }

    /// Asks both, and compares what they answer.
    async fn both<Q, A>(&mut self, method: &'static str, request: Q, settle: impl Fn(&mut A)) -> Result<(), String>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + Debug + PartialEq + Headed + 'static,
    {
        let (mut ours, mut theirs) = within("both", async {
            tokio::join!(self.ours.call::<_, A>(method, request.clone()), self.theirs.call::<_, A>(method, request))
        })
        .await;
        for answer in [&mut ours, &mut theirs].into_iter().flatten() {
            settle(answer);
        }
        equal(&ours, &theirs)?;
        if let Ok(answer) = &mut ours {
            self.revision = answer.header().as_ref().ok_or("there is no header")?.revision;
        }
        Ok(())
    }
}

/// What was written so many revisions ago, or is to come; 0 is now.
pub(super) fn at(ago: i64, now: i64) -> i64 {
    const AHEAD: i64 = 3;
    if ago == 0 { 0 } else { (now + AHEAD - ago).max(1) }
}

pub(super) fn equal<T: PartialEq + Debug>(ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("\nours:   {ours:?}\netcd's: {theirs:?}")) }
}

fn same<A>(_: &mut A) {}

/// The time that is left is each server's own, as far as seconds go; the keys come in any order.
fn settle_time(answer: &mut PbLeaseTimeToLiveResponse) {
    if answer.ttl > 0 {
        answer.ttl = 1;
    }
    answer.keys.sort();
}
