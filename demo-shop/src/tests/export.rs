//! Spans really travel: a receiver of each protocol gets every one of them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tonic::{Request, Response, Status};

use crate::services::SERVICES;
use crate::{LoadPlan, OtlpProtocol, Shop, ShopConfig};

struct Receiver(UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A receiver that speaks the protocol, and what it receives.
async fn receiver(protocol: OtlpProtocol) -> (SocketAddr, UnboundedReceiver<ExportTraceServiceRequest>) {
    let (sender, received) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = match protocol {
        OtlpProtocol::Grpc => {
            tonic::service::Routes::new(TraceServiceServer::new(Receiver(sender))).prepare().into_axum_router()
        }
        OtlpProtocol::HttpProtobuf => Router::new().route(
            "/v1/traces",
            post(|body: Bytes| async move { sender.send(ExportTraceServiceRequest::decode(body).unwrap()).unwrap() }),
        ),
    };
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, received)
}

async fn every_span_arrives(protocol: OtlpProtocol) {
    let (address, mut received) = receiver(protocol).await;
    let config = ShopConfig { protocol, seed: 3, ..ShopConfig::new(format!("http://{address}")) };
    let shop = Shop::start(config).await.unwrap();
    let asked = shop.run_load(LoadPlan::Counted { requests: 60 }).await.requests;
    shop.shutdown().await.unwrap();

    let (mut names, mut ids, mut parents, mut entries) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), 0);
    while let Ok(request) = received.try_recv() {
        for resource_spans in request.resource_spans {
            let attributes = resource_spans.resource.unwrap().attributes;
            let name = attributes.into_iter().find(|attribute| attribute.key == "service.name").unwrap();
            names.insert(format!("{:?}", name.value.unwrap()));
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                entries += u64::from(span.parent_span_id.is_empty() && span.name != "relay outbox");
                parents.extend(Some(span.parent_span_id).filter(|id| !id.is_empty()));
                ids.insert(span.span_id);
            }
        }
    }
    assert_eq!(names.len(), SERVICES.len(), "{names:?}");
    // How many spans there are in all hangs on what takes too long on a busy machine, as does how often the outbox is
    // looked into; that none is missing does not.
    assert_eq!(entries, asked);
    assert_eq!(parents.difference(&ids).next(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_arrives_over_grpc() {
    every_span_arrives(OtlpProtocol::Grpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_arrives_over_http() {
    every_span_arrives(OtlpProtocol::HttpProtobuf).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paced_load_goes_on_until_it_is_stopped() {
    let (address, mut received) = receiver(OtlpProtocol::Grpc).await;
    let shop = Shop::start(ShopConfig::new(format!("http://{address}"))).await.unwrap();
    let load = shop.start_load(LoadPlan::Paced { requests_per_second: 500.0 });
    received.recv().await.unwrap();
    let summary = load.stop().await;
    assert!(summary.requests > 0);
    assert_eq!(summary.failures, 0);
    shop.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_stops_nobody_from_shopping() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let shop = Shop::start(ShopConfig::new(format!("http://{gone}"))).await.unwrap();
    let summary = shop.run_load(LoadPlan::Counted { requests: 30 }).await;
    assert_eq!((summary.requests, summary.failures), (30, 0));
    let _unsent = shop.shutdown().await;
}
