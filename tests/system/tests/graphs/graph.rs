//! [`Graph`]: an expression as data, and what it comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hereafter::JobError;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::strategy::Strategy;

/// The most jobs of an expression.
const JOBS: usize = 200;

/// Calls in calls are planned by recursion; from here on a handle stands in between.
const DEPTH: usize = 40;

/// An expression: each node after its inputs, the root last.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) form: Form,
    /// Whether it returns an error, however often it is tried.
    pub(crate) fails: bool,
    pub(crate) retries: u32,
    /// Whether it is delayed on its own, and a handle stands in the calls around it.
    pub(crate) is_apart: bool,
    /// Whether nothing of it is to be kept.
    pub(crate) is_ignored: bool,
}

/// Which inputs a call has, and in which places: the indices of their nodes.
#[derive(Debug, Clone)]
pub(crate) enum Form {
    /// Two arguments.
    Pair([usize; 2]),
    /// One argument whose failure is tolerated, and one whose is not.
    Either([usize; 2]),
    /// Lists.
    Lists(Lists<usize>),
}

/// What a call is given, or is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lists<T, Try = Vec<T>, Whole = Vec<T>> {
    pub(crate) needed: Vec<T>,
    /// Each may fail.
    pub(crate) tried: Try,
    /// They may fail together.
    pub(crate) whole: Whole,
    pub(crate) rows: Vec<Vec<T>>,
    pub(crate) keyed: BTreeMap<String, T>,
}

/// What a call is given.
pub(crate) type Given = Lists<u64, Vec<Option<u64>>, Option<Vec<u64>>>;

/// How a node ends.
#[derive(Debug, Clone)]
pub(crate) enum End {
    Value(u64),
    /// It ran, or did not because of an input, and one of these is the cause.
    Fails {
        is_run: bool,
        roots: BTreeSet<usize>,
    },
}

impl End {
    /// Asserts that a call, here or delayed, ended like this.
    pub(crate) fn assert_is(&self, answer: &Result<u64, JobError>, what: &str) {
        match (self, answer) {
            (Self::Value(expected), Ok(value)) => assert_eq!(value, expected, "{what}"),
            (Self::Fails { roots, .. }, Err(error)) => {
                let text = error.to_string();
                let is_root = |root: &usize| text.ends_with(&failure(*root));
                assert!(roots.iter().any(is_root), "{what}: {text}, which is none of {roots:?}");
            }
            (expected, answer) => panic!("{what}: {answer:?} instead of {expected:?}"),
        }
    }

    /// Whether the function of the node is run.
    pub(crate) fn is_run(&self) -> bool {
        matches!(self, Self::Value(_) | Self::Fails { is_run: true, .. })
    }
}

/// The error of the node in this place, if it fails.
pub(crate) fn failure(place: usize) -> String {
    format!("node {place} fails")
}

/// What the node in this place makes of its inputs: any change of their order or number changes
/// it.
pub(crate) fn mix(place: usize, given: &Given) -> u64 {
    let mut state = place as u64;
    // FNV-1a on whole numbers, with lengths between lists.
    let mut add =
        |number: u64| state = (state ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
    let list = |list: &[u64], add: &mut dyn FnMut(u64)| {
        add(list.len() as u64);
        list.iter().for_each(|number| add(*number));
    };
    list(&given.needed, &mut add);
    given.tried.iter().for_each(|part| add(part.unwrap_or(u64::MAX)));
    match &given.whole {
        Some(whole) => list(whole, &mut add),
        None => add(u64::MAX - 1),
    }
    given.rows.iter().for_each(|row| list(row, &mut add));
    for (key, number) in &given.keyed {
        key.bytes().for_each(|byte| add(u64::from(byte)));
        add(*number);
    }
    state
}

impl Node {
    /// The places of its inputs, as often as they are named.
    pub(crate) fn inputs(&self) -> Vec<usize> {
        match &self.form {
            Form::Pair(pair) | Form::Either(pair) => pair.to_vec(),
            Form::Lists(lists) => {
                let Lists { needed, tried, whole, rows, keyed } = lists;
                let flat = [needed, tried, whole].into_iter().chain(rows).flatten();
                flat.chain(keyed.values()).copied().collect()
            }
        }
    }

    /// The same call in terms of lists.
    fn lists(&self) -> Lists<usize> {
        let mut lists = Lists::default();
        match &self.form {
            Form::Pair(pair) => lists.needed = pair.to_vec(),
            Form::Either([tried, needed]) => {
                (lists.tried, lists.needed) = (vec![*tried], vec![*needed]);
            }
            Form::Lists(lists) => return lists.clone(),
        }
        lists
    }

    fn end(&self, place: usize, ends: &[End]) -> End {
        let Lists { needed, tried, whole, rows, keyed } = self.lists();
        let mut roots = BTreeSet::new();
        let mut value = |input: usize| match &ends[input] {
            End::Value(value) => *value,
            End::Fails { roots: causes, .. } => {
                roots.extend(causes);
                0
            }
        };
        let found = |input: usize| match &ends[input] {
            End::Value(value) => Some(*value),
            End::Fails { .. } => None,
        };
        let given = Given {
            needed: needed.into_iter().map(&mut value).collect(),
            tried: tried.into_iter().map(found).collect(),
            whole: whole.into_iter().map(found).collect(),
            rows: rows.into_iter().map(|row| row.into_iter().map(&mut value).collect()).collect(),
            keyed: keyed.into_iter().map(|(key, input)| (key, value(input))).collect(),
        };
        if !roots.is_empty() {
            End::Fails { is_run: false, roots }
        } else if self.fails {
            End::Fails { is_run: true, roots: BTreeSet::from([place]) }
        } else {
            End::Value(mix(place, &given))
        }
    }
}

impl Graph {
    /// How each node ends.
    pub(crate) fn ends(&self) -> Vec<End> {
        let mut ends = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            ends.push(node.end(place, &ends));
        }
        ends
    }

    fn of(seeds: Vec<Seed>, root: &Seed) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        for seed in seeds {
            nodes.push(seed.node(nodes.len()));
        }
        let wanted: BTreeSet<usize> = nodes.iter().flat_map(Node::inputs).collect();
        let unwanted = (0..nodes.len()).filter(|place| !wanted.contains(place)).collect();
        // The root wants all that nothing else does, so that everything is part of it.
        let mut lists = Lists::default();
        *(if root.flags[0] < 2 { &mut lists.needed } else { &mut lists.tried }) = unwanted;
        nodes.push(Node {
            form: Form::Lists(lists),
            is_apart: false,
            is_ignored: false,
            ..root.node(0)
        });
        let mut graph = Self { nodes };
        graph.set_apart();
        graph
    }

    /// Sets apart what is wanted in several places, and what lies too deep.
    fn set_apart(&mut self) {
        let mut wanted = vec![0; self.nodes.len()];
        let mut depths = vec![0; self.nodes.len()];
        for (place, node) in self.nodes.iter_mut().enumerate() {
            let inputs = node.inputs();
            inputs.iter().for_each(|input| wanted[*input] += 1);
            let depth = inputs.iter().map(|input| depths[*input] + 1).max().unwrap_or(0);
            node.is_apart |= depth >= DEPTH;
            depths[place] = if node.is_apart { 0 } else { depth };
        }
        for (node, wanted) in self.nodes.iter_mut().zip(wanted) {
            node.is_apart |= wanted > 1;
            // A handle of an ignored call is no input: it says that nothing is kept.
            node.is_ignored &= !node.is_apart;
        }
    }
}

impl<T, Try: Default, Whole: Default> Default for Lists<T, Try, Whole> {
    fn default() -> Self {
        Self {
            needed: Vec::new(),
            tried: Try::default(),
            whole: Whole::default(),
            rows: Vec::new(),
            keyed: BTreeMap::new(),
        }
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, node) in self.nodes.iter().enumerate() {
            writeln!(f, "{place}: {node:?}")?;
        }
        Ok(())
    }
}

/// What a node is made of, whatever nodes there are before it.
#[derive(Debug, Clone)]
struct Seed {
    form: u8,
    /// In which list, whether it is a near one, and which.
    inputs: Vec<(u8, bool, u16)>,
    /// Of sixteen, so that one of them fails.
    luck: u8,
    retries: u32,
    /// Of four each; one of them sets it apart, or ignores it.
    flags: [u8; 2],
}

fn seeds() -> impl Strategy<Value = Seed> {
    let inputs = vec((0..6_u8, any::<bool>(), any::<u16>()), 0..5);
    (0..6_u8, inputs, 0..16_u8, 0..2_u32, [0..4_u8, 0..4_u8]).prop_map(
        |(form, inputs, luck, retries, flags)| Seed { form, inputs, luck, retries, flags },
    )
}

/// Any expression of at most [`JOBS`] jobs.
pub(crate) fn graphs() -> impl Strategy<Value = Graph> {
    (vec(seeds(), 1..JOBS), seeds()).prop_map(|(nodes, root)| Graph::of(nodes, &root))
}

impl Seed {
    /// The node in this place.
    fn node(&self, place: usize) -> Node {
        let [is_apart, is_ignored] = self.flags.map(|flag| flag == 3);
        let (fails, retries) = (self.luck == 15, self.retries);
        Node { form: self.form(place), fails, retries, is_apart, is_ignored }
    }

    fn form(&self, place: usize) -> Form {
        let mut inputs = self.inputs.iter().map(|(list, is_near, raw)| {
            let raw = usize::from(*raw);
            // Near ones make chains, far ones fans.
            let input = if *is_near { place - 1 - raw % place.min(6) } else { raw % place };
            (*list, input)
        });
        let mut lists = Lists::default();
        if place == 0 {
            return Form::Lists(lists);
        }
        match (self.form, self.inputs.len()) {
            (form @ (0 | 1), 2..) => {
                let pair = [(); 2].map(|()| inputs.next().expect("there are two").1);
                if form == 0 { Form::Pair(pair) } else { Form::Either(pair) }
            }
            _ => {
                for (list, input) in inputs {
                    match list {
                        0 | 1 => lists.needed.push(input),
                        2 => lists.tried.push(input),
                        3 => lists.whole.push(input),
                        4 => match lists.rows.last_mut().filter(|_| input % 2 == 0) {
                            Some(row) => row.push(input),
                            None => lists.rows.push(vec![input]),
                        },
                        _ => drop(lists.keyed.insert(format!("key {input}"), input)),
                    }
                }
                Form::Lists(lists)
            }
        }
    }
}
