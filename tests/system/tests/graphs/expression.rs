//! A graph as calls: run here, or delayed.

use std::future::Future;

use hereafter::prelude::*;
use hereafter::scope_state;

use crate::graph::{Form, Graph, Lists, Node};
use crate::task::{Runs, Spot, either, lists, pair};

/// The one type of all calls: each has an argument that may fail.
type Part = Call<u64, Result<u64, JobError>>;

/// A node that is built, until it is used up.
enum Built {
    Call(Option<Part>),
    Handle(Handle<u64>),
}

/// Runs the expression in this process, what is set apart by an eager client.
pub(crate) async fn run_here(graph: &Graph) -> Result<u64, JobError> {
    let here = async {
        let (root, _) = build(graph, &Client::eager(), 0, async {}).await;
        root.await
    };
    scope_state(Runs::new(), here).await
}

/// Delays the expression; answers the handles that there are, each with its node's place. Before
/// the node in the place `halfway`, something else happens.
pub(crate) async fn delay(
    graph: &Graph,
    client: &Client,
    halfway: usize,
    meanwhile: impl Future<Output = ()>,
) -> Vec<(usize, Handle<u64>)> {
    let (root, mut handles) = build(graph, client, halfway, meanwhile).await;
    let root = root.delay_on(client).await.expect("it is well below every limit");
    handles.push((graph.nodes.len() - 1, root));
    handles
}

/// The call at the root, and the handles of the nodes that are set apart.
async fn build(
    graph: &Graph,
    client: &Client,
    halfway: usize,
    meanwhile: impl Future<Output = ()>,
) -> (Part, Vec<(usize, Handle<u64>)>) {
    let mut meanwhile = Some(meanwhile);
    let mut built: Vec<Built> = Vec::new();
    let mut handles = Vec::new();
    for (place, node) in graph.nodes.iter().enumerate() {
        if let Some(meanwhile) = meanwhile.take_if(|_| place == halfway) {
            meanwhile.await;
        }
        let mut call = call(place, node, &mut built).retries(node.retries);
        if node.is_ignored {
            call = call.ignore_result();
        }
        built.push(if node.is_apart {
            let handle = call.delay_on(client).await.expect("it is well below every limit");
            handles.push((place, handle.clone()));
            Built::Handle(handle)
        } else {
            Built::Call(Some(call))
        });
    }
    match built.pop() {
        Some(Built::Call(Some(root))) => (root, handles),
        _ => unreachable!("the root comes last, and is not set apart"),
    }
}

fn call(place: usize, node: &Node, built: &mut [Built]) -> Part {
    let spot = Spot { place, fails: node.fails };
    let mut part = |place: usize| match &mut built[place] {
        Built::Call(call) => call.take().expect("what is used twice is set apart"),
        Built::Handle(handle) => Call::from(handle.clone()),
    };
    match &node.form {
        Form::Pair(inputs) => {
            let [left, right] = inputs.map(part);
            pair(spot, left, right)
        }
        Form::Either(inputs) => {
            let [tried, needed] = inputs.map(part);
            either(spot, tried, needed)
        }
        Form::Lists(Lists { needed, tried, whole, rows, keyed }) => {
            let mut parts = |places: &[usize]| -> Vec<Part> {
                places.iter().map(|place| part(*place)).collect()
            };
            let needed = gather(parts(needed));
            let tried = gather_results(parts(tried));
            let whole = gather(parts(whole));
            let rows = gather(rows.iter().map(|row| gather(parts(row))).collect::<Vec<_>>());
            let keyed = gather_map(keyed.iter().map(|(key, place)| (key.clone(), part(*place))));
            lists(spot, needed, tried, whole, rows, keyed)
        }
    }
}
