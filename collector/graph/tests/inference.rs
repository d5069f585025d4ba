//! Who calls whom: the points of the design's node and edge inference, each by a trace that shows it.

use spanlint_graph::Name;
use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Operation;
use spanlint_graph::span::{EdgeKind, Outcome};

use crate::notation;

fn check(trace: &str, expected: &[&str]) {
    assert_eq!(notation::edges(&notation::graph(trace)), expected.join("\n"), "{trace}");
}

#[test]
fn a_client_span_and_its_server_are_one_call() {
    check(
        "gateway server \"GET /\" 0+100 http.request.method=GET
  gateway client \"GET\" 10+50 http.request.method=GET server.address=cart-host
    cart server \"GET /cart\" 15+40 http.request.method=GET",
        &["client -> gateway http 1", "gateway -> cart http 1"],
    );
}

#[test]
fn a_child_of_any_kind_in_another_service_is_a_request() {
    check(
        "a internal \"job\" 0+100
  b internal \"work\" 10+50
  c unspecified \"more\" 10+50",
        &["a -> b other 1", "a -> c other 1"],
    );
}

#[test]
fn the_caller_is_found_through_internal_spans() {
    check(
        "a server \"x\" 0+100
  a internal \"y\" 0+90
    a client \"z\" 1+80 rpc.system.name=grpc
      b server \"z\" 2+70",
        &["client -> a other 1", "a -> b rpc 1"],
    );
}

#[test]
fn an_unmatched_call_names_its_peer_by_the_best_attribute() {
    let peer = |attributes: &str, expected: &str| {
        let trace = format!("a internal \"x\" 0+9\n  a client \"y\" 0+5 {attributes}");
        check(&trace, &[expected]);
    };
    peer("service.peer.name=pay server.address=h", "a -> external:pay other 1");
    peer("peer.service=pay net.peer.name=h", "a -> external:pay other 1");
    peer("server.address=h server.port=80 network.peer.address=10.0.0.1", "a -> external:h:80 other 1");
    peer("server.address=http://h:81/x", "a -> external:h:81 other 1");
    peer("http.request.method=GET url.full=https://api.test/x?y", "a -> external:api.test http 1");
    peer("network.peer.address=10.0.0.1 network.peer.port=5", "a -> external:10.0.0.1:5 other 1");
    peer("rpc.system=grpc rpc.service=Pay rpc.method=Do", "a -> external:Pay rpc 1");
    check("a internal \"x\" 0+9\n  a client \"y\" 0+5", &[]);
}

#[test]
fn a_peer_that_is_only_known_by_its_interface_is_who_offers_it() {
    let call = "rpc.system=grpc rpc.service=shop.Cart rpc.method";
    let offers = |service: &str| format!("{service} server \"x\" 0+9 {call}=Get");
    let trace = |offered: &str| format!("a internal \"x\" 0+9\n  a client \"y\" 0+5 {call}=Put\n\n{offered}");
    check(&trace(&offers("cart")), &["client -> cart rpc 1", "a -> cart rpc 1"]);
    check(
        &trace(&[offers("cart"), offers("copy")].join("\n\n")),
        &["client -> cart rpc 1", "client -> copy rpc 1", "a -> external:shop.Cart rpc 1"],
    );
}

#[test]
fn a_peer_that_one_service_answers_as_is_that_service() {
    let asked =
        |service: &str, host: &str| format!("{service} server \"x\" 0+9 http.request.method=GET http.host={host}");
    let call = "a internal \"x\" 0+9\n  a client \"y\" 0+5 http.request.method=GET server.address=";
    let check = |answers: &[String], host: &str, expected: &[&str]| {
        check(&format!("{}\n\n{call}{host}", answers.join("\n\n")), expected);
    };
    let often = |service: &str, host: &str| vec![asked(service, host); 3];
    let clients = |service: &str, calls: u32| format!("client -> {service} http {calls}");
    let carts = often("cart", "carts.acme.test:8080");
    check(&carts, "carts.acme.test:8080", &[&clients("cart", 3), "a -> cart http 1"]);
    check(&carts, "carts.acme.test:9200", &[&clients("cart", 3), "a -> external:carts.acme.test:9200 http 1"]);
    // Once or twice anybody asks for anything.
    check(&carts[..2], "carts.acme.test:8080", &[&clients("cart", 2), "a -> external:carts.acme.test:8080 http 1"]);
    let copied = [carts, often("copy", "carts.acme.test:8080")].concat();
    let several = [&clients("cart", 3), &clients("copy", 3), "a -> external:carts.acme.test:8080 http 1"];
    check(&copied, "carts.acme.test:8080", &several);
    // Whoever asks for a host of another's makes nobody that host, and takes none from who has it.
    let forged =
        [often("cart", "pay.test"), often("cart", "carts.acme.test"), often("cart", "carts.acme.test")].concat();
    check(&forged, "pay.test", &[&clients("cart", 9), "a -> external:pay.test http 1"]);
    check(&forged, "carts.acme.test", &[&clients("cart", 9), "a -> cart http 1"]);
    let many = vec![asked("cart", "carts.acme.test"); 10];
    let scanned = [many.as_slice(), &[asked("copy", "copies.test"), asked("copy", "carts.acme.test")]].concat();
    check(&scanned, "carts.acme.test", &[&clients("cart", 10), &clients("copy", 2), "a -> cart http 1"]);
    // Where a call to the host led to another service, that is who has it.
    let call_of = "b internal \"x\" 0+9\n  b client \"y\" 0+5 http.request.method=GET server.address=pay.test";
    let paid = [often("cart", "pay.test"), vec![format!("{call_of}\n    pay server \"z\" 0+4")]].concat();
    check(&paid, "pay.test", &[&clients("cart", 3), "a -> external:pay.test http 1", "b -> pay http 1"]);
    let cluster = [often("web", "cart.shop.svc.cluster.local"), vec!["cart server \"y\" 0+9".to_owned()]].concat();
    check(&cluster, "cart.shop.svc.cluster.local", &["client -> cart other 1", &clients("web", 3), "a -> cart http 1"]);
    check(&often("cart", "10.0.0.7"), "10.0.0.7", &[&clients("cart", 3), "a -> external:10.0.0.7 http 1"]);
}

#[test]
fn a_peer_that_mostly_one_service_answers_for_is_that_service_where_the_answer_is_lost() {
    let call = |host: &str, answer: &str| {
        format!("a server \"x\" 0+9\n  a client \"y\" 1+5 http.request.method=GET server.address={host}{answer}")
    };
    let answered = |host: &str, by: &str| call(host, &format!("\n    {by} server \"z\" 2+3"));
    let check = |traces: &[String], expected: &[&str]| {
        let clients = format!("client -> a other {}", traces.len());
        check(&traces.join("\n\n"), &[&[clients.as_str()], expected].concat());
    };
    let often = |host: &str, by: &str| vec![answered(host, by); 3];
    for host in ["carts.acme.test:8080", "carts-v2"] {
        check(&[often(host, "cart"), vec![call(host, "")]].concat(), &["a -> cart http 4"]);
    }
    let host = "carts.acme.test:8080";
    let external = |calls: u32| format!("a -> external:{host} http {calls}");
    // A host that seldom answered, one of several services, one that mostly somebody else answers for, another port.
    check(&[answered(host, "cart"), call(host, "")], &[&external(1), "a -> cart http 1"]);
    let both = [often(host, "cart"), often(host, "copy"), vec![call(host, "")]].concat();
    check(&both, &[&external(1), "a -> cart http 3", "a -> copy http 3"]);
    check(&[often(host, "cart"), vec![call(host, ""); 4]].concat(), &[&external(4), "a -> cart http 3"]);
    let other = "a -> external:carts.acme.test:9200 http 1";
    let ports = [often(host, "cart"), vec![call(host, ""), call("carts.acme.test:9200", "")]].concat();
    check(&ports, &[&external(1), other, "a -> cart http 3"]);
    for address in ["10.0.0.7", "localhost"] {
        let external = format!("a -> external:{address} http 1");
        check(&[often(address, "cart"), vec![call(address, "")]].concat(), &[&external, "a -> cart http 3"]);
    }
}

#[test]
fn work_that_begins_after_its_call_ended_is_not_waited_for() {
    let call = |start: u32, kind: &str| {
        format!("a server \"x\" 0+9\n  a client \"start\" 0+5\n    b {kind} \"run\" {start}+9")
    };
    check(&call(6, "internal"), &["client -> a other 1", "a -> b other 1 async"]);
    // Clocks of whole milliseconds tell no order within one, and those of two hosts may be apart.
    let apart = |start: u32| {
        call(start, "internal")
            .replace("0+5", "0+5 host=one")
            .replace(&format!("{start}+9"), &format!("{start}+9 host=two"))
    };
    check(&apart(106), &["client -> a other 1", "a -> b other 1 async"]);
    for waited in [call(4, "internal"), call(5, "internal"), call(6, "server"), apart(105)] {
        check(&waited, &["client -> a other 1", "a -> b other 1"]);
    }
}

#[test]
fn a_peer_with_the_name_of_a_service_is_that_service() {
    let known = "cart server \"GET /\" 0+5\n\na internal \"x\" 0+9\n  a client \"y\" 0+5 ";
    for address in ["cart", "cart:8080", "cart.shop.svc.cluster.local:8080", "cart-3.cart", "cart-0.cart.shop:8080"] {
        check(&format!("{known}server.address={address}"), &["client -> cart other 1", "a -> cart other 1"]);
    }
}

#[test]
fn a_peer_of_a_namespace_is_the_service_there_and_no_other() {
    let known = "cart server \"GET /\" 0+5 namespace=shop\n\ncart server \"GET /\" 0+5 namespace=bank\n\n";
    let call = "a internal \"x\" 0+9\n  a client \"y\" 0+5 service.peer.name=cart service.peer.namespace=";
    let clients = ["client -> bank/cart other 1", "client -> shop/cart other 1"];
    for (namespace, peer) in [("shop", "shop/cart"), ("bank", "bank/cart"), ("moon", "external:moon/cart")] {
        check(&format!("{known}{call}{namespace}"), &[&clients[..], &[&*format!("a -> {peer} other 1")]].concat());
    }
}

#[test]
fn a_wrapper_around_a_call_is_not_another_call() {
    check(
        "a internal \"x\" 0+9
  a client \"orm\" 0+8 db.system=postgresql db.name=shop
    a client \"driver\" 1+6 db.system.name=postgresql db.namespace=shop server.address=db server.port=5432",
        &["a -> datastore:postgresql/db:5432/shop database 1"],
    );
}

#[test]
fn messages_go_through_their_topic() {
    check(
        "a server \"x\" 0+9
  a producer \"send orders\" 0+5 messaging.system=kafka messaging.destination.name=orders
    b consumer \"process orders\" 6+5 messaging.system=kafka messaging.destination.name=orders",
        &[
            "client -> a other 1",
            "a -> b messaging 1 async derived",
            "a -> topic:kafka/orders messaging 1 async",
            "topic:kafka/orders -> b messaging 1 async",
        ],
    );
}

#[test]
fn producer_and_consumer_of_different_traces_meet_at_the_topic() {
    check(
        "a internal \"x\" 0+9
  a client \"publish\" 0+5 messaging.system=kafka messaging.destination=orders messaging.operation=publish

b consumer \"receive\" 6+5 messaging.system=kafka messaging.destination=orders messaging.operation=receive link=2
  b consumer \"process\" 7+3 messaging.system=kafka messaging.destination=orders messaging.operation=process",
        &[
            "a -> b messaging 1 async derived",
            "a -> topic:kafka/orders messaging 1 async",
            "topic:kafka/orders -> b messaging 1 async",
        ],
    );
}

#[test]
fn a_statement_that_two_libraries_tell_of_side_by_side_is_one() {
    let statement = |name: &str, time: &str| {
        format!("\n  a client \"{name}\" {time} db.system=mysql db.name=shop net.peer.name=db db.statement=select%20x")
    };
    let calls = |statements: &[String]| {
        let trace = format!("a internal \"x\" 0+99{}", statements.concat());
        let graph = notation::graph(&trace);
        graph.patterns.iter().map(|pattern| pattern.facts.calls).sum::<u64>()
    };
    // SQLAlchemy listens to events, so that it is not the parent of its driver.
    let mapped = [
        statement("SELECT shop", "1+9"),
        statement("SELECT", "2+7"),
        statement("SELECT shop", "11+9"),
        statement("SELECT", "12+7"),
    ];
    assert_eq!(calls(&mapped), 2);
    // What one library tells of twice runs twice, also where one lasts longer than another that begins later.
    assert_eq!(calls(&[statement("SELECT", "1+9"), statement("SELECT", "2+7")]), 2);
    // What goes on when the first has ended is another.
    assert_eq!(calls(&[statement("SELECT shop", "1+9"), statement("SELECT", "2+9")]), 2);
}

#[test]
fn a_client_that_tries_again_by_itself_makes_several_calls() {
    let attempt = |time: &str, status: u16, more: &str| {
        format!(
            "\n    b server \"GET /rates\" {time} http.request.method=GET http.route=/rates http.response.status_code={status} {more}"
        )
    };
    let call = |attempts: &[String]| {
        let trace = format!(
            "a internal \"x\" 0+99\n  a client \"GET\" 1+50 http.request.method=GET url.full=http://b/rates{}",
            attempts.concat()
        );
        let graph = notation::graph(&trace);
        let edge = graph.edges.iter().find(|edge| edge.kind == EdgeKind::Http).expect("an edge").facts.clone();
        let repeats = graph.patterns[0].facts.repeats.count();
        (edge.calls, edge.retries, edge.outcomes[Outcome::Failed.index()], repeats)
    };
    let failed = |time| attempt(time, 503, "status=error");
    assert_eq!(call(&[failed("2+5"), failed("10+5"), attempt("20+5", 200, "")]), (3, 2, 2, 0));
    assert_eq!(call(&[attempt("2+5", 200, "")]), (1, 0, 0, 0));
    // Of several questions under one span nobody knows whether they are the same one.
    assert_eq!(call(&[attempt("2+5", 200, ""), attempt("10+5", 200, "")]), (2, 0, 0, 0));
}

#[test]
fn messages_that_are_sent_together_are_one_batch() {
    let send = |start: u64, duration: u64| {
        format!("\n  a producer \"send\" {start}+{duration} messaging.system=kafka messaging.destination.name=orders")
    };
    let most = |sent: &[String]| {
        let graph = notation::graph(&format!("a internal \"x\" 0+999{}", sent.concat()));
        let pattern = &graph.patterns[0].facts;
        assert_eq!(pattern.calls, sent.len() as u64, "each is a message of its own");
        pattern.repetitions.keys().map(|repetition| repetition.distinct).max()
    };
    // KafkaJS opens one span for each message of a batch, and ends them all with the one answer.
    let batch = |at: u64| (0..6).map(move |place| send(at + place / 3, 20 - place / 3));
    assert_eq!(most(&batch(10).collect::<Vec<_>>()), Some(1));
    assert_eq!(most(&batch(10).chain(batch(40)).collect::<Vec<_>>()), Some(2));
    assert_eq!(most(&(0..6).map(|place| send(10 + 20 * place, 20)).collect::<Vec<_>>()), Some(6));
    // Sent without waiting, and answered one after another.
    assert_eq!(most(&(0..6).map(|place| send(10, 10 * (place + 1))).collect::<Vec<_>>()), Some(6));
    // Too fast for clocks that count milliseconds.
    assert_eq!(most(&(0..6).map(|_| send(10, 0)).collect::<Vec<_>>()), Some(6));
}

#[test]
fn consumers_name_what_they_take_from_as_a_source() {
    let of = |role: &str| format!("messaging.system=kafka messaging.{role}.name=orders");
    check(
        &format!(
            "a server \"x\" 0+9
  a producer \"orders publish\" 1+5 {} messaging.operation=publish
    b consumer \"orders receive\" 6+1 {} messaging.operation=receive
      b consumer \"orders process\" 7+9 {} messaging.operation=process",
            of("destination"),
            of("source"),
            of("source")
        ),
        &[
            "client -> a other 1",
            "a -> b messaging 1 async derived",
            "a -> topic:kafka/orders messaging 1 async",
            "topic:kafka/orders -> b messaging 1 async",
        ],
    );
}

#[test]
fn what_an_exchange_hands_on_comes_from_it() {
    let publish = "a producer \"publish\" 1+5 messaging.system=rabbitmq messaging.destination.name=orders";
    let process = "b consumer \"process\" 7+9 messaging.system=rabbitmq messaging.destination.name=billing";
    let taken = [
        "client -> a other 1",
        "a -> b messaging 1 async derived",
        "a -> topic:rabbitmq/orders messaging 1 async",
        "topic:rabbitmq/orders -> b messaging 1 async",
    ];
    check(&format!("a server \"x\" 0+9\n  {publish}\n    {process}"), &taken);
    // A message that nobody is known to have sent comes from where its consumer says, and so does one that is sent on.
    let apart = ["client -> a other 1", "a -> topic:rabbitmq/orders messaging 1 async"];
    let own = "topic:rabbitmq/billing -> b messaging 1 async";
    check(&format!("a server \"x\" 0+9\n  {publish}\n\n{process}"), &[apart[0], apart[1], own]);
    check(&format!("a server \"x\" 0+9\n  {publish}\n  {process}"), &[apart[0], apart[1], own]);
}

#[test]
fn the_default_exchange_is_the_queue_that_the_routing_key_names() {
    let publish = |exchange: &str| {
        format!(
            "a server \"x\" 0+9\n  a producer \"publish\" 1+5 messaging.system=rabbitmq messaging.operation=publish \
             messaging.rabbitmq.destination.routing_key=sms {exchange}\n\n\
             b consumer \"sms process\" 7+9 messaging.system=rabbitmq messaging.destination.name=sms"
        )
    };
    for exchange in ["", "messaging.destination.name=<default>", "messaging.destination.name=amq.default"] {
        check(
            &publish(exchange),
            &[
                "client -> a other 1",
                "a -> b messaging 1 async derived",
                "a -> topic:rabbitmq/sms messaging 1 async",
                "topic:rabbitmq/sms -> b messaging 1 async",
            ],
        );
    }
    let named = ["client -> a other 1", "a -> topic:rabbitmq/news messaging 1 async"];
    let taken = "topic:rabbitmq/sms -> b messaging 1 async";
    check(&publish("messaging.destination.name=news"), &[named[0], named[1], taken]);
}

#[test]
fn a_broker_is_one_however_it_is_written() {
    let check_written = |producer: &str, consumer: &str, system: &str| {
        check(
            &format!(
                "a producer \"send\" 1+5 messaging.system={producer} messaging.destination.name=t\n\n\
                 b consumer \"process\" 7+9 messaging.system={consumer} messaging.destination.name=t"
            ),
            &[
                "a -> b messaging 1 async derived",
                &format!("a -> topic:{system}/t messaging 1 async"),
                &format!("topic:{system}/t -> b messaging 1 async"),
            ],
        );
    };
    check_written("RabbitMQ", "rabbitmq", "rabbitmq");
    check_written("kafka", "KAFKA", "kafka");
}

#[test]
fn what_prepares_a_connection_asks_nothing() {
    let around = |step: &str| {
        format!(
            "a server \"x\" 0+99\n  a client {step}\n  a client \"get\" 9+2 db.system=redis server.address=r db.statement=get/**/k"
        )
    };
    let asked = ["client -> a other 1", "a -> datastore:redis/r:6379/ database 1"];
    for step in [
        "\"CLIENT\" 1+2 db.system=redis db.operation=CLIENT db.statement=CLIENT/**/SETINFO/**/LIB-NAME/**/jedis",
        "\"hello\" 1+2 db.system=redis server.address=r db.statement=hello/**/3",
        "\"redis.pipeline client\" 1+2 db.system=redis db.statement=client/**/setinfo/**/LIB-NAME/**/go-redis",
        "\"HELLO\" 1+2 db.system.name=valkey",
        "\"pool.acquire\" 1+2 db.system.name=postgresql server.address=db db.namespace=shop",
    ] {
        check(&around(step), &asked);
    }
    // What has the name of a step and yet asks.
    for (step, told) in [
        (
            "\"pool.acquire\" 1+2 db.system=mysql server.address=db db.name=shop db.statement=select/**/a/**/from/**/b",
            "a -> datastore:mysql/db:3306/shop database 1",
        ),
        (
            "\"client\" 1+2 db.system=mongodb server.address=db db.name=shop db.operation=find",
            "a -> datastore:mongodb/db:27017/shop database 1",
        ),
    ] {
        check(&around(step), &[asked[0], told, asked[1]]);
    }
}

#[test]
fn a_numbered_namespace_is_named_with_its_address() {
    let names = |attributes: &str| {
        let graph = notation::graph(&format!("a client \"q\" 0+5 {attributes}"));
        graph.nodes.iter().filter(|node| node.datastore.is_some()).map(|node| node.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        names("db.system=redis db.redis.database_index=0 server.address=cache server.port=6380"),
        ["cache:6380/0"]
    );
    assert_eq!(names("db.system=redis db.redis.database_index=3"), ["redis/3"]);
    assert_eq!(names("db.system=redis server.address=cache"), ["cache:6379"]);
    assert_eq!(names("db.system=mysql db.name=shop2 server.address=db"), ["shop2"]);
}

#[test]
fn what_asks_a_datastore_over_http_asks_the_datastore() {
    let check = |above: &str, expected: &str| {
        check(
            &format!(
                "a internal \"x\" 0+99\n  a {above}\n    a client \"POST\" 2+5 http.request.method=POST server.address=es"
            ),
            &[expected],
        );
    };
    let search =
        "client \"search\" 1+9 db.system.name=elasticsearch server.address=es server.port=9200 db.namespace=shop";
    check(search, "a -> datastore:elasticsearch/es:9200/shop database 1");
    let publish = "producer \"send\" 1+9 messaging.system=aws_sqs messaging.destination.name=orders";
    check(publish, "a -> topic:aws_sqs/orders messaging 1 async");
    check("client \"sdk\" 1+9 http.request.method=POST server.address=es", "a -> external:es http 1");
}

#[test]
fn consumers_take_what_was_announced_from_the_topic() {
    let queue = "messaging.system=kafka messaging.destination=orders messaging.operation";
    check(
        &format!(
            "a internal \"x\" 0+99\n  a producer \"create\" 0+1 {queue}=create\n    b consumer \"process\" 9+3 {queue}=process\n  \
             a client \"send\" 1+5 {queue}=publish messaging.batch.message_count=1"
        ),
        &[
            "a -> b messaging 1 async derived",
            "a -> topic:kafka/orders messaging 1 async",
            "topic:kafka/orders -> b messaging 1 async",
        ],
    );
}

#[test]
fn a_delivery_comes_from_the_topic_that_its_message_knows() {
    // The consumer of confluent-kafka for Python polls without knowing what for.
    let trace = "b consumer \"recv\" 6+9
  b consumer \"orders process\" 7+3 messaging.system=kafka messaging.destination=orders messaging.operation=process";
    check(trace, &["topic:kafka/orders -> b messaging 1 async"]);
    let graph = notation::graph(trace);
    let told: Vec<_> = graph.operations.iter().map(|operation| operation.name.as_str()).collect();
    assert_eq!(told, ["process orders"]);
    // Those of aiokafka tell of a batch, of its part from each topic, and of each message in the trace that it came from.
    let queue = "messaging.system=kafka messaging.operation.type=receive";
    check(
        &format!(
            "b consumer \"receive\" 6+9 {queue}\n  b consumer \"receive\" 7+3 {queue} messaging.destination.name=orders\n\n\
             a internal \"x\" 0+9\n  a producer \"send\" 1+2 messaging.system=kafka messaging.destination.name=orders\n    \
             b consumer \"receive\" 7+1 {queue} messaging.destination.name=orders"
        ),
        &[
            "a -> b messaging 1 async derived",
            "a -> topic:kafka/orders messaging 1 async",
            "topic:kafka/orders -> b messaging 1 async",
        ],
    );
}

#[test]
fn each_message_of_a_received_batch_is_a_request() {
    let check = |received: &str, expected: &[(&str, u64)]| {
        let graph = notation::graph(received);
        let told = graph.operations.iter().map(|operation| (operation.name.as_str(), operation.facts.requests));
        assert_eq!(told.collect::<Vec<_>>(), expected, "{received}");
        assert_eq!(notation::edges(&graph).lines().next(), Some("topic:kafka/orders -> b messaging 1 async"));
    };
    let queue = "messaging.system=kafka messaging.destination=orders messaging.operation";
    let receive = format!("b consumer \"receive\" 6+9 {queue}=receive");
    let process = format!("\n  b consumer \"process\" 7+3 {queue}=process");
    check(&receive, &[("process orders", 1)]);
    check(&format!("{receive}{process}"), &[("process orders", 1)]);
    check(&format!("{receive}{process}{process}{process}"), &[("process orders", 3)]);
}

#[test]
fn the_proxy_at_the_edge_takes_requests_from_outside() {
    let edge = "component=proxy node_id=router~10.0.0.1 upstream_cluster=web";
    check(
        &format!("edge client \"web:80/*\" 0+10 {edge}\n  web server \"web:80/*\" 1+8"),
        &["client -> edge other 1", "edge -> web other 1"],
    );
}

#[test]
fn a_browser_redirect_is_no_call() {
    check(
        "login server \"GET /login\" 0+10\n  data server \"GET /home\" 20+10",
        &["client -> data other 1", "client -> login other 1"],
    );
    check(
        "login server \"GET /login\" 0+10\n  login internal \"handler\" 0+9\n    data server \"GET /home\" 20+10",
        &["client -> data other 1", "client -> login other 1"],
    );
    let called = ["client -> a other 1", "a -> b other 1"];
    check("a server \"x\" 0+10\n  b server \"y\" 2+5", &called);
    // Clocks that are apart.
    check("a server \"x\" 10+10\n  b server \"y\" 7+5", &called);
}

#[test]
fn health_checks_count_nowhere() {
    check(
        "probe internal \"tick\" 0+9
  probe client \"GET\" 0+5 http.request.method=GET url.full=http://a/healthz
    a server \"GET /healthz\" 1+3 http.request.method=GET http.route=/healthz
      a client \"SELECT\" 1+1 db.system=mysql",
        &[],
    );
}

#[test]
fn an_orphan_keeps_its_node_without_a_caller() {
    let graph = notation::graph("a server \"x\" 0+5 parent=77");
    assert_eq!(notation::edges(&graph), "");
    assert_eq!(graph.nodes.len(), 1);
    assert_eq!((graph.counts.orphan_spans, graph.operations[0].facts.entries), (1, [0, 0, 0, 0, 1, 0]));
}

#[test]
fn what_is_left_of_a_request_that_was_lost_are_its_calls() {
    let left =
        "a internal \"receive\" 0+1 parent=77\na client \"GET\" 1+5 parent=77 peer.service=b\n  b server \"y\" 2+3";
    let graph = notation::graph(left);
    assert_eq!(notation::edges(&graph), "a -> b other 1");
    let operations: Vec<_> = graph.operations.iter().map(|operation| operation.name.as_str()).collect();
    assert_eq!(operations, ["y"]);
    // Where the request is there, and only what stood between is not, they are its own.
    let graph = notation::graph(&format!("a server \"x\" 0+9\n{left}"));
    assert_eq!(notation::edges(&graph), "client -> a other 1\na -> b other 1");
    let requests: Vec<_> =
        graph.operations.iter().map(|operation| (operation.name.as_str(), operation.facts.relays)).collect();
    assert_eq!(requests, [("x", 1), ("y", 0)]);
    // A recording of nothing else tells of nothing else.
    let graph = notation::graph("a client \"GET\" 1+5 parent=77 peer.service=b");
    assert_eq!(graph.operations.len(), 1);
    // It is nothing that anybody asks for, unlike a request whose caller was lost.
    assert!(!graph.operations[0].facts.is_asked_for());
    assert!(notation::graph("a server \"GET\" 1+5 parent=77").operations[0].facts.is_asked_for());
    assert_eq!(notation::graph("a internal \"router /health\" 1+5 parent=77").operations.len(), 0);
}

#[test]
fn spans_that_are_their_own_ancestors_are_cut_loose() {
    let graph = notation::graph("a server \"x\" 0+9 parent=2\na client \"y\" 1+5 parent=1 server.address=b");
    assert_eq!(notation::edges(&graph), "client -> a other 1\na -> external:b other 1");
    assert_eq!(graph.counts.circular_spans, 1);
}

#[test]
fn environments_never_merge() {
    let text =
        "a server \"x\" 0+9 env=prod\n  a client \"y\" 1+5\n    b server \"z\" 2+3\n\na server \"x\" 0+9 env=test";
    let batch = notation::spans(text);
    let facts = notation::facts(&batch);
    let names = &batch.vocabulary.names;
    let environments = spanlint_graph::resolve::environments(&facts, names);
    let graphs: Vec<_> = environments.iter().map(|&name| spanlint_graph::resolve(&facts, name, names)).collect();
    assert_eq!(graphs.iter().map(|graph| graph.environment.as_str()).collect::<Vec<_>>(), ["prod", "test"]);
    assert_eq!(notation::edges(&graphs[0]), "client -> a other 1\na -> b other 1");
    assert_eq!(notation::edges(&graphs[1]), "client -> a other 1");
}

#[test]
fn datastores_are_told_apart_by_host_where_they_are_local() {
    let graph = notation::graph(
        "a internal \"x\" 0+9 host=one
  a client \"q\" 0+5 host=one db.system.name=sqlite db.namespace=shop
b internal \"x\" 0+9 host=two
  b client \"q\" 0+5 host=two db.system.name=sqlite db.namespace=shop
c internal \"x\" 0+9
  c client \"q\" 0+5 db.system.name=sqlite db.namespace=shop",
    );
    let expected = "a -> datastore:sqlite/one//shop database 1
b -> datastore:sqlite/two//shop database 1
c -> datastore:sqlite//shop database 1";
    assert_eq!(notation::edges(&graph), expected);
}

#[test]
fn databases_that_only_have_a_number_are_known_by_their_server() {
    let name = |attributes: &str| {
        let graph = notation::graph(&format!("a internal \"x\" 0+9\n  a client \"get\" 0+5 {attributes}"));
        let mut datastores = graph.nodes.into_iter().filter(|node| node.datastore.is_some());
        datastores.next().expect("a datastore").name
    };
    let redis = "db.system=redis server.address=cache";
    assert_eq!(name(&format!("{redis} db.redis.database_index=1")), "cache:6379/1");
    assert_eq!(name(redis), "cache:6379");
    assert_eq!(name("db.system=redis db.redis.database_index=0"), "redis/0");
    assert_eq!(name("db.system=postgresql server.address=db db.namespace=shop2"), "shop2");
}

#[test]
fn repeated_calls_are_counted_per_request_without_retries() {
    let graph = notation::graph(
        "cart server \"GET /cart\" 0+100
  cart client \"GET\" 0+10 http.request.method=GET url.full=http://stock/items/1 http.response.status_code=503
  cart client \"GET\" 10+10 http.request.method=GET url.full=http://stock/items/1
  cart client \"GET\" 20+10 http.request.method=GET url.full=http://stock/items/2
  cart client \"GET\" 30+10 http.request.method=GET url.full=http://stock/items/3",
    );
    let pattern = &graph.patterns[0];
    assert_eq!(pattern.template, "GET /items/{id}");
    assert_eq!((pattern.facts.calls, pattern.facts.retries, pattern.facts.requests), (4, 1, 1));
    let repetition = pattern.facts.repetitions.keys().next().unwrap();
    assert_eq!(repetition.distinct, 3);
    let edge = graph.edges.iter().find(|edge| edge.kind == EdgeKind::Http).unwrap();
    assert_eq!((edge.facts.median_per_request(), edge.facts.outcomes[Outcome::Failed.index()]), ((3, 1), 1));
}

#[test]
fn the_pages_of_one_answer_are_one_call() {
    let page = |number: u32| {
        format!("  a client \"GET\" {number}+1 http.request.method=GET url.full=http://b/items?kind=x&page={number}\n")
    };
    let graph = notation::graph(&format!("a internal \"x\" 0+99\n{}", (1..9).map(page).collect::<String>()));
    let repetition = graph.patterns[0].facts.repetitions.keys().next().unwrap();
    assert_eq!(repetition.distinct, 1);
    let edge = &graph.edges[0].facts;
    assert_eq!((edge.median_per_request(), edge.median_asked_per_request()), ((8, 1), (1, 1)));
}

#[test]
fn pages_are_turned_by_keys_of_every_spelling() {
    let distinct = |key: &str| {
        let call = |place: u32| {
            format!(
                "  a client \"GET\" {place}+1 http.request.method=GET url.full=http://b/items?kind=x&{key}=c{place}z\n"
            )
        };
        let graph = notation::graph(&format!("a internal \"x\" 0+99\n{}", (1..9).map(call).collect::<String>()));
        graph.patterns[0].facts.repetitions.keys().next().unwrap().distinct
    };
    for key in
        ["cursor", "page_info", "page[number]", "page%5Bafter%5D", "$skip", "startAt", "NextToken", "starting_after"]
    {
        assert_eq!(distinct(key), 1, "{key}");
    }
    for key in ["id", "pages", "tag", "skipper"] {
        assert_eq!(distinct(key), 8, "{key}");
    }
}

#[test]
fn what_a_stream_passes_on_is_a_stream() {
    let streaming = " http.response.header.content-type=text/event-stream";
    let count = |answer: &str, call: &str| {
        let graph = notation::graph(&format!(
            "a server \"GET /chat\" 0+100 http.request.method=GET http.route=/chat{answer}
  a client \"POST\" {call} http.request.method=POST url.full=https://api.model.example/v1/chat"
        ));
        let calls = graph.edges.iter().filter(|edge| graph.node(edge.to).name.contains("model"));
        calls.map(|edge| edge.facts.streams).sum::<u64>()
    };
    // What is asked before the stream begins ends, and so does what an ordinary request waits for.
    assert_eq!((count(streaming, "5+90"), count(streaming, "5+20"), count("", "5+90")), (1, 0, 0));
}

#[test]
fn the_tasks_of_a_pipeline_run_by_its_schedule() {
    let entries = |more: &str| {
        let graph = notation::graph(&format!(
            "scheduler internal \"daily\" 0+100
  worker internal \"load\" 1+90{more}"
        ));
        let task = graph.operations.iter().find(|operation| operation.name == "load").unwrap();
        (task.facts.entries[Entry::Schedule as usize], task.facts.entries[Entry::Internal as usize])
    };
    assert_eq!(entries("\n    worker client \"POST\" 2+9\n      checks server \"POST /runs\" 3+7"), (1, 0));
    // Where nothing takes a call, it may be that nobody told the kinds of spans.
    assert_eq!(entries(""), (0, 1));
}

#[test]
fn tables_are_read_and_written_within_requests_only() {
    let graph = notation::graph(
        "a server \"x\" 0+9
  a client \"q\" 0+5 db.system=mysql db.name=shop db.operation=SELECT db.sql.table=orders
  a client \"q\" 6+2 db.system=mysql db.name=shop db.statement=delete/**/from/**/orders

b client \"migrate\" 0+5 db.system=mysql db.name=shop db.operation=INSERT db.sql.table=orders",
    );
    let usages: Vec<_> =
        graph.usages.iter().map(|usage| (usage.table.as_str(), usage.facts.reads, usage.facts.writes)).collect();
    assert_eq!(usages, [("orders", 1, 1)]);
}

#[test]
fn a_service_that_calls_itself_is_no_edge_and_no_loop() {
    let graph = notation::graph(
        "a server \"x\" 0+99
  a client \"y\" 1+90
    a server \"y\" 2+80",
    );
    assert_eq!(notation::edges(&graph), "client -> a other 1");
    assert_eq!((graph.operations.len(), graph.loops.len()), (2, 0));
    // Nor under another name, which is no host outside.
    let by_address = "a server \"x\" 0+99\n  a client \"y\" 1+90 server.address=10.0.0.7\n    a server \"y\" 2+80";
    check(by_address, &["client -> a other 1"]);
    let unanswered = "a server \"x\" 0+99\n  a client \"y\" 1+90 server.address=10.0.0.7";
    check(unanswered, &["client -> a other 1", "a -> external:10.0.0.7 other 1"]);
}

#[test]
fn whatever_a_call_names_its_server_tells_whom_it_reached() {
    let edges = |callee: &str| {
        let actor = "rpc.system=orleans rpc.service=IMonster rpc.method=Hit";
        notation::edges(&notation::graph(&format!(
            "a server \"x\" 0+99\n  a client \"IMonster/Hit\" 1+90 {actor}\n{callee}"
        )))
    };
    assert_eq!(edges("    a server \"IMonster/Hit\" 2+80"), "client -> a other 1");
    assert_eq!(edges(""), "client -> a other 1\na -> external:IMonster rpc 1");
    assert_eq!(edges("    b server \"IMonster/Hit\" 2+80"), "client -> a other 1\na -> b rpc 1");
}

#[test]
fn who_asks_itself_relays_nothing() {
    let graph = notation::graph(
        "a server \"x\" 0+99
  a client \"y\" 1+90
    a server \"y\" 2+80
      a client \"z\" 3+70
        b server \"z\" 4+60",
    );
    let relays: Vec<_> =
        graph.operations.iter().map(|operation| (operation.name.as_str(), operation.facts.relays)).collect();
    assert_eq!(relays, [("x", 0), ("y", 1), ("z", 0)]);
}

#[test]
fn what_a_clock_asks_for_over_the_network_is_scheduled() {
    let entries = |agent: &str| {
        let request = format!("a server \"POST /close\" 0+9 http.request.method=POST user_agent.original={agent}");
        notation::graph(&request).operations[0].facts.entries
    };
    assert_eq!(entries("Google-Cloud-Scheduler")[Entry::Schedule as usize], 1);
    assert_eq!(entries("curl/8")[Entry::Client as usize], 1);
}

#[test]
fn rubbish_does_not_cost_the_square_of_its_size() {
    let mut batch = notation::spans("a server \"x\" 0+99 parent=1");
    for number in 0..30_000u64 {
        let mut span = batch.spans[0].clone();
        std::sync::Arc::make_mut(&mut span.shape).service.name = Name(number);
        span.parent_id = span.span_id;
        batch.spans.push(span);
    }
    assert_eq!(notation::facts(&batch).environments.get(&Name::EMPTY).unwrap().counts.spans, 30_001);
}

#[test]
fn loops_are_kept_as_they_were_walked() {
    let graph = notation::graph(
        "b server \"x\" 0+99
  b client \"y\" 1+90
    a server \"y\" 2+80
      a client \"z\" 3+70
        b server \"z\" 4+60",
    );
    let names: Vec<_> = graph.loops[0].nodes.iter().map(|&node| graph.node(node).name.as_str()).collect();
    assert_eq!((names, graph.loops[0].facts.walks), (vec!["a", "b"], 1));
}

#[test]
fn a_host_outside_of_the_cluster_is_no_service_of_that_name() {
    let known = "api server \"GET /\" 0+5\n\na internal \"x\" 0+9\n  a client \"y\" 0+5 ";
    for address in ["api.stripe.com", "api.example.com:443", "api.b.c"] {
        let external = format!("a -> external:{address} other 1");
        check(&format!("{known}server.address={address}"), &["client -> api other 1", &external]);
    }
    let to_itself = "api server \"GET /\" 0+5\n  api client \"y\" 0+5 server.address=api.internal";
    check(to_itself, &["client -> api other 1", "api -> external:api.internal other 1"]);
}

#[test]
fn what_a_browser_calls_is_called_by_the_outside_world() {
    check(
        "web internal \"documentLoad\" 0+99 device=Linux
  web client \"GET\" 1+50 device=Linux server.address=shop
    gateway server \"GET /\" 2+40",
        &["client -> gateway other 1"],
    );
}

#[test]
fn a_sidecar_is_the_service_it_stands_before() {
    check(
        "a server \"x\" 0+99
  a client \"y\" 1+90 server.address=b
    a.default client \"egress\" 2+80 component=proxy
      b.default server \"ingress\" 3+70 component=proxy
        b server \"y\" 4+60",
        &["client -> a other 1", "a -> b other 1"],
    );
    let front = |host: &str| {
        format!(
            "b-proxy server \"x\" 0+99 component=proxy host={host}\n  b-proxy client \"y\" 1+80 component=proxy host={host}\n    b server \"y\" 4+60 host=h1"
        )
    };
    check(&front("h1"), &["client -> b other 1"]);
    check(&front("h2"), &["client -> b-proxy other 1", "b-proxy -> b other 1"]);
    check(
        "edge server \"x\" 0+99 component=proxy\n  b server \"y\" 4+60",
        &["client -> edge other 1", "edge -> b other 1"],
    );
}

#[test]
fn a_service_that_calls_itself_through_sidecars_takes_a_request() {
    let requests = |between: &str| {
        let graph = notation::graph(&format!(
            "a server \"x\" 0+99\n a client \"y\" 1+90 server.address=a\n{between}    a server \"y\" 4+60"
        ));
        let of = |operation: &Operation| (operation.name.clone(), operation.facts.requests);
        let calls = graph.edges.iter().map(|edge| (edge.from, edge.facts.calls)).collect::<Vec<_>>();
        (graph.operations.iter().map(of).collect::<Vec<_>>(), calls)
    };
    let through = "  a.default client \"out\" 2+80 component=proxy\n   a.default server \"in\" 3+70 component=proxy\n";
    let alone = requests("");
    assert_eq!(alone.0, [("x".to_owned(), 1), ("y".to_owned(), 1)]);
    assert_eq!(requests(through), alone);
}

#[test]
fn a_sidecar_says_what_its_application_says() {
    let graph = notation::graph(
        "a server \"GET /a\" 0+99 http.request.method=GET http.route=/a
  a client \"GET\" 1+60 http.request.method=GET url.full=http://b/items/7 server.address=b
    a.default client \"b:80/*\" 2+58 component=proxy http.request.method=GET url.full=http://b:80/
      b.default server \"b:80/*\" 3+56 component=proxy http.request.method=GET url.full=http://b:80/
        b server \"GET /items/{id}\" 4+80 http.request.method=GET http.route=/items/{id}",
    );
    let operations: Vec<&str> = graph.operations.iter().map(|operation| operation.name.as_str()).collect();
    assert_eq!(operations, ["GET /a", "GET /items/{id}"]);
}

#[test]
fn a_sidecar_whose_request_was_lost_stays_with_its_service() {
    check(
        "a server \"x\" 0+99
  a client \"y\" 1+90 server.address=b
    b.default server \"ingress\" 3+70 component=proxy
  b internal \"work\" 5+10",
        &["client -> a other 1", "a -> b other 2"],
    );
}

#[test]
fn a_sidecar_that_other_traces_tell_of_is_their_service_where_nothing_of_it_came() {
    let trace = |below: &str| format!("a server \"x\" 0+99\n  a client \"y\" 1+90\n    {below}");
    let whole = trace("b.default server \"in\" 3+70 component=proxy\n      b server \"y\" 4+60");
    let lost = |sidecar: &str| trace(&format!("{sidecar} server \"in\" 3+70 component=proxy"));
    let with = |sidecar: &str| format!("{whole}\n\n{whole}\n\n{}", lost(sidecar));
    check(&with("b.default"), &["client -> a other 3", "a -> b other 3"]);
    let operations = notation::graph(&with("b.default")).operations;
    assert_eq!(operations.iter().map(|operation| operation.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    check(&with("c.default"), &["client -> a other 3", "a -> b other 2", "a -> c.default other 1"]);
    // Nothing tells that it has sidecars.
    let plain = format!("{}\n\n{}", trace("b server \"y\" 4+60"), lost("b-proxy"));
    check(&plain, &["client -> a other 2", "a -> b other 1", "a -> b-proxy other 1"]);
    // A proxy at the edge calls whom it is called after.
    let edge = "b-proxy server \"x\" 0+99 component=proxy host=h2\n  b server \"y\" 4+60 host=h1";
    let expected = ["client -> a other 2", "client -> b-proxy other 1", "a -> b other 2", "b-proxy -> b other 1"];
    check(&format!("{whole}\n\n{whole}\n\n{edge}"), &expected);
}

#[test]
fn a_torn_sidecar_is_of_the_service_that_is_nearest_to_it() {
    for sidecar in
        ["a.default client \"egress\" 2+8 host=node parent=99", "proxy client \"egress\" 2+8 instance=a-0 parent=99"]
    {
        check(
            &format!(
                "a server \"x\" 0+99 host=node instance=a-0
a-api server \"y\" 0+99 host=node
a.default-api server \"z\" 0+99 host=node
{sidecar} host=node component=proxy server.address=b"
            ),
            &[
                "client -> a other 1",
                "client -> a-api other 1",
                "client -> a.default-api other 1",
                "a -> external:b other 1",
            ],
        );
    }
}

#[test]
fn many_producers_and_consumers_of_one_topic_stay_bounded() {
    let message = |kind: &str, each: u32| {
        format!("{kind}{each} {kind} \"m\" 0+1 messaging.system=kafka messaging.destination.name=t\n\n")
    };
    let text: String = (0..300).map(|each| message("producer", each) + &message("consumer", each)).collect();
    let graph = notation::graph(&text);
    let derived = graph.edges.iter().filter(|edge| edge.is_derived).count() as u64;
    assert_eq!(graph.overflow, [("derived_edges", 300 * 300 - derived)]);
}

#[test]
fn nodes_never_share_an_id() {
    let graph = notation::graph(
        "b/c server \"x\" 0+9
c/d server \"x\" 0+9
a client \"q\" 0+5 db.system=mysql server.address=h db.name=x/y
a client \"q\" 0+5 db.system=mysql server.address=h/x db.name=y",
    );
    let mut ids: Vec<_> = graph.nodes.iter().map(|node| node.id.clone()).collect();
    assert!(ids.contains(&"service:b%2Fc".to_owned()), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), graph.nodes.len());
}

#[test]
fn a_sidecar_that_takes_and_passes_on_is_the_service_behind_it() {
    check(
        "a server \"x\" 0+20
  a client \"GET\" 1+18
    b-envoy server \"ingress\" 2+16 component=proxy
      b-envoy client \"egress\" 3+14 component=proxy
        b server \"y\" 4+12",
        &["client -> a other 1", "a -> b other 1"],
    );
}

/// What calls `b`, through what stands in between.
fn call_through(between: &str) -> String {
    format!("a server \"x\" 0+99\n  a client \"y\" 1+90 server.address=b\n{between}")
}

#[test]
fn a_sidecar_of_whom_loses_the_trace_is_surely_its_service() {
    let lost = |sidecar: &str, service: &str| {
        format!("{}\n\n{service}", call_through(&format!("    {sidecar} component=proxy")))
    };
    let one = ["client -> a other 1", "client -> b other 1", "a -> b other 1"];
    check(&lost("b.default server \"in\" 3+70 node_id=sidecar~1", "b server \"z\" 4+60"), &one);
    check(&lost("b-proxy server \"in\" 3+70 instance=b-0", "b server \"z\" 4+60 instance=b-0"), &one);
    // A proxy that may stand for itself, one of another namespace, one that is called by nobody but the outside.
    check(
        &lost("b.default server \"in\" 3+70", "b server \"z\" 4+60"),
        &["client -> a other 1", "client -> b other 1", "a -> b.default other 1"],
    );
    check(
        &lost("b.prod server \"in\" 3+70 node_id=sidecar~1", "b server \"z\" 4+60 namespace=test"),
        &["client -> a other 1", "client -> test/b other 1", "a -> b.prod other 1"],
    );
    check(
        "b.example server \"x\" 0+99 component=proxy\n\nb server \"z\" 4+60",
        &["client -> b other 1", "client -> b.example other 1"],
    );
}

#[test]
fn spans_of_azure_tell_what_they_do_by_their_name() {
    let bus =
        "az.namespace=Microsoft.ServiceBus message_bus.destination=orders peer.address=shop.servicebus.windows.net";
    check(
        &format!(
            "a server \"x\" 0+99
  a producer \"Message\" 1+1 {bus}
  a producer \"ServiceBus.message\" 2+1 {bus}
  a client \"ServiceBusSender.Send\" 3+9 {bus}

b client \"ServiceBusReceiver.Receive\" 20+9 {bus} link=2

b consumer \"ServiceBusProcessor.ProcessMessage\" 30+9 {bus} link=3
  b client \"ServiceBusReceiver.Complete\" 38+1 {bus}"
        ),
        &[
            "client -> a other 1",
            "a -> b messaging 2 async derived",
            "a -> topic:servicebus/orders messaging 1 async",
            "topic:servicebus/orders -> b messaging 2 async",
        ],
    );
}

#[test]
fn a_waypoint_is_each_service_that_it_takes_requests_for() {
    let taken = |host: &str, time: &str| {
        format!(
            "way server \"in\" {time} component=proxy node_id=waypoint~1 upstream_cluster=inbound-vip|80|http|{host}"
        )
    };
    let [edge, a, b] = [("edge", "0+99"), ("a", "3+70"), ("b", "4+60")]
        .map(|(service, time)| taken(&format!("{service}.shop.svc.cluster.local"), time));
    let gateway = "edge.shop client \"out\" 2+80 component=proxy node_id=router~1";
    check(
        &format!("{edge}\n  {gateway}\n    {a}\n      {b}"),
        &["client -> edge.shop other 1", "a.shop -> b.shop other 1", "edge.shop -> a.shop other 1"],
    );
    // A service that shows its part is one with what its waypoint took.
    let shown = format!("{a}\n  a server \"y\" 4+60\n    a client \"z\" 5+50 server.address=b\n      {b}");
    check(&format!("{shown}\n        b server \"w\" 6+40"), &["client -> a other 1", "a -> b other 1"]);
    // What a waypoint passes to the outside is of no service of the cluster.
    let outside = taken("api.example.com", "3+70");
    check(&call_through(&format!("    {outside}")), &["client -> a other 1", "a -> way other 1"]);
}

#[test]
fn a_sidecar_that_all_services_call_alike_is_none_of_them() {
    for (name, mark) in [("istio-proxy", ""), ("linkerd-proxy", ""), ("envoy", "component=proxy")] {
        let hop = |indent: usize, app: &str| {
            format!(
                "{0:indent$}{name} client \"out\" 2+80 {mark}\n{0:indent$} {name} server \"in\" 3+70 {mark}\n{0:indent$}  {app}\n",
                ""
            )
        };
        let whole = call_through(&hop(4, "b server \"z\" 4+60"))
            + "       b client \"y\" 5+50 server.address=c\n"
            + &hop(8, "c server \"w\" 5+40");
        check(&whole, &["client -> a other 1", "a -> b other 1", "b -> c other 1"]);
        // Whoever shows nothing of the request is whom the call names.
        let silent =
            call_through(&format!("    {name} client \"out\" 2+80 {mark}\n     {name} server \"in\" 3+70 {mark}\n"));
        check(&silent, &["client -> a other 1", "a -> external:b other 1"]);
        let lost = silent + "\nb server \"z\" 4+60";
        check(&lost, &["client -> a other 1", "client -> b other 1", "a -> b other 1"]);
    }
}

#[test]
fn a_gateway_that_takes_requests_stays_a_service() {
    let gateway = |indent: usize, app: &str| {
        format!(
            "{0:indent$}envoy server \"in\" 3+70 component=proxy\n{0:indent$} envoy client \"out\" 4+60 component=proxy\n{0:indent$}  {app}\n",
            ""
        )
    };
    check(&gateway(0, "b server \"z\" 5+50"), &["client -> envoy other 1", "envoy -> b other 1"]);
    let between = call_through(&gateway(4, "b server \"z\" 5+50"))
        + "       b client \"y\" 6+40 server.address=c\n"
        + &gateway(8, "c server \"w\" 7+30");
    check(
        &between,
        &[
            "client -> a other 1",
            "a -> envoy other 1",
            "b -> envoy other 1",
            "envoy -> b other 1",
            "envoy -> c other 1",
        ],
    );
    let silent = call_through("    envoy server \"in\" 3+70 component=proxy");
    check(&silent, &["client -> a other 1", "a -> envoy other 1"]);
}

#[test]
fn dapr_is_the_service_that_it_stands_beside() {
    let invoke = |caller: &str, callee: &str, app: &str| {
        format!(
            "a server \"x\" 0+99
  a client \"POST\" 1+90 http.request.method=POST server.address=127.0.0.1 server.port=3500
    {caller} client \"/v1.0/invoke/b/method/y\" 2+80 dapr.api=POST net.peer.name=b
      {callee} server \"CallLocal\" 3+70 dapr.api=CallLocal
        {app} server \"y\" 4+60"
        )
    };
    check(&invoke("a", "b", "b"), &["client -> a other 1", "a -> b other 1"]);
    check(&invoke("daprd", "daprd", "b"), &["client -> a other 1", "a -> b other 1"]);
    check(&invoke("a-id", "b-id", "b"), &["client -> a other 1", "a -> b other 1"]);
    // By a client span it calls what is asked for, or has subscribed.
    check(
        &invoke("a", "b", "b").replace("b server \"CallLocal\"", "b client \"CallLocal\""),
        &["client -> a other 1", "a -> b other 1"],
    );
    // Where applications send nothing it speaks for them.
    check(
        "a client \"/v1.0/invoke/b/method/y\" 2+80 dapr.api=POST net.peer.name=b
  b server \"CallLocal\" 3+70 dapr.api=CallLocal",
        &["a -> b other 1"],
    );
    // Without a sidecar a client under a client of another service is a call.
    check(
        "a client \"y\" 1+90 server.address=b\n  b client \"z\" 2+80 server.address=c",
        &["a -> b other 1", "b -> external:c other 1"],
    );
}

#[test]
fn dapr_publishes_and_delivers() {
    let topic = "dapr.api=x messaging.system=pubsub messaging.destination.name=t";
    check(
        &format!(
            "a server \"x\" 0+99
  a client \"POST\" 1+90 http.request.method=POST server.address=127.0.0.1 server.port=3500
    a client \"/v1.0/publish/bus/t\" 2+80 {topic}
      b client \"bus/t\" 100+40 {topic}
        b server \"POST /t\" 101+30 http.request.method=POST http.route=/t"
        ),
        &[
            "client -> a other 1",
            "a -> b messaging 1 async derived",
            "a -> topic:pubsub/t messaging 1 async",
            "topic:pubsub/t -> b messaging 1 async",
        ],
    );
}
