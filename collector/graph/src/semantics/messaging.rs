//! Messages: what is done with them, and which topic they go through, whatever client library tells of it.

use std::borrow::Cow;

use super::attributes::Field;
use super::inputs::Inputs;
use super::url::part;
use super::{intern, url};
use crate::name::NameTable;
use crate::span::{Call, EdgeKind, NodeKey, SpanKind, TopicKey};

/// What a span does with a message, as `messaging.operation.type` has it; empty where nothing tells. The SDKs of AWS tell
/// it by the method of their interface alone, those of Azure by the name of the span.
pub(super) fn operation<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    if inputs.has(Field::MessagingOperation) {
        return inputs.text(Field::MessagingOperation);
    }
    if inputs.has(Field::AzureNamespace) && inputs.has(Field::Destination) {
        return Cow::Borrowed(azure_operation(&inputs.name));
    }
    let is_told = inputs.has(Field::MessagingSystem) && &*inputs.text(Field::RpcSystem) == "aws-api";
    let is_aws = is_told || inputs.has(Field::QueueUrl) && inputs.aws_service() == "sqs";
    Cow::Borrowed(match &*inputs.text(Field::RpcMethod) {
        _ if !is_aws => "",
        "ReceiveMessage" => "receive",
        "SendMessage" | "SendMessageBatch" | "Publish" | "PublishBatch" => "send",
        "DeleteMessage" | "DeleteMessageBatch" | "ChangeMessageVisibility" => "settle",
        _ => "",
    })
}

/// What a span of Azure's SDKs does with a message: `Azure.EventHubs.send`, `ServiceBusProcessor.ProcessMessage`, and a
/// `Message` for each that a send carries.
fn azure_operation(name: &str) -> &'static str {
    match &*name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase() {
        "message" => "create",
        "schedule" | "send" => "send",
        "peek" | "receive" => "receive",
        "process" | "processmessage" | "processsessionmessage" => "process",
        "abandon" | "complete" | "deadletter" | "defer" => "settle",
        _ => "",
    }
}

/// Whether a consumer span only waits for messages, as long as none comes. Some that do know nothing of the message that
/// they give in the end.
pub(super) fn only_receives(kind: SpanKind, inputs: &Inputs<'_>) -> bool {
    let is_nameless = || !inputs.has(Field::MessagingSystem) && !inputs.has(Field::Destination);
    kind == SpanKind::Consumer
        && match &*operation(inputs) {
            "receive" | "poll" => true,
            "" => is_nameless() && matches!(&*inputs.name, "recv" | "receive" | "poll" | "consume"),
            _ => false,
        }
}

/// Systems that have more than one name, by the current one.
const SYSTEMS: [(&str, &[&str]); 6] = [
    ("aws_sqs", &["aws.sqs", "amazonsqs", "awssqs", "sqs"]),
    ("aws.sns", &["aws_sns", "amazonsns", "awssns", "sns"]),
    ("eventhubs", &["microsoft.eventhub"]),
    ("kafka", &["apache kafka"]),
    ("rabbitmq", &["rabbit", "amqp"]),
    ("servicebus", &["microsoft.servicebus"]),
];

/// The system as the conventions write it. Spring names it as people do, and may say behind it which one it is.
fn system(inputs: &Inputs<'_>) -> String {
    let told = [Field::MessagingSystem, Field::AzureNamespace].into_iter().find(|&field| inputs.has(field));
    let given = told.map_or_else(|| inputs.aws_service(), |field| inputs.text(field).to_ascii_lowercase());
    let kind = given.split_once(": ").map_or(&*given, |(kind, _)| kind);
    let renamed = SYSTEMS.iter().find(|(_, others)| others.contains(&kind));
    renamed.map_or(kind, |(current, _)| current).to_owned()
}

/// The topic as the conventions name it, the template before the name.
pub(super) fn destination<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    if inputs.has(Field::DestinationTemplate) {
        return inputs.text(Field::DestinationTemplate);
    }
    if !inputs.has(Field::Destination) && inputs.has(Field::MessageTypes) {
        // The first type, without the assembly that it is in. Who takes a message knows it by the same.
        return part(inputs.text(Field::MessageTypes), |types| {
            types.split([',', ';']).next().unwrap_or_default().trim()
        });
    }
    if !inputs.has(Field::Destination) && inputs.has(Field::QueueUrl) {
        return part(inputs.text(Field::QueueUrl), |url| url.rsplit('/').next().unwrap_or_default());
    }
    let given = inputs.text(Field::Destination);
    let name = match given.strip_prefix("arn:") {
        // The last part of an ARN is the name; before it are region and account.
        Some(arn) => arn.rsplit(':').next().unwrap_or_default(),
        None if system(inputs) == "rabbitmq" => return Cow::Owned(url::template(&exchange(inputs, &given))),
        None => &given,
    };
    Cow::Owned(url::template(name))
}

/// What libraries call the exchange without a name.
const NAMELESS_EXCHANGES: [&str; 4] = ["", "<default>", "amq.default", "(AMQP default)"];

/// The exchange of `RabbitMQ`, which producers and consumers both know. The one without a name hands each message to the
/// queue that its routing key names.
fn exchange(inputs: &Inputs<'_>, given: &str) -> String {
    match given.split_once(',') {
        // `exchange,routing key`
        Some(("", queue)) => queue.to_owned(),
        Some((exchange, _)) => exchange.to_owned(),
        None if NAMELESS_EXCHANGES.contains(&given) && (given.is_empty() || inputs.has(Field::RoutingKey)) => {
            inputs.text(Field::RoutingKey).into_owned()
        }
        None => given.to_owned(),
    }
}

/// What the span says of the message that it sends or takes.
pub(super) fn read(inputs: &Inputs<'_>, names: &mut NameTable) -> Call {
    let name = intern(names, &destination(inputs));
    let topic = TopicKey { system: intern(names, &system(inputs)), destination: name };
    // A `create` span only announces the message that a `send` span carries, and `settle` only acknowledges it.
    let moves = !matches!(&*operation(inputs), "create" | "settle");
    Call {
        peer: (moves && !name.is_empty()).then_some(NodeKey::Topic(topic)),
        kind: EdgeKind::Messaging,
        template: name,
        ..Call::default()
    }
}
