//! A graph as Mermaid text.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use taskcore::JobId;
use taskcore::broker::JobState;

use super::{JobGraph, Node};

/// As many equal inputs of a job are still shown one by one.
const FAN: usize = 20;

/// One box: a job, or many that look the same from here.
struct Drawn<'a> {
    /// The first of them.
    node: &'a Node,
    count: usize,
}

/// The boxes that jobs are drawn as, and the arrows between them.
#[derive(Default)]
struct Drawing<'a> {
    boxes: Vec<Drawn<'a>>,
    place: HashMap<JobId, usize>,
    /// From, to, and whether it is tolerated.
    arrows: BTreeSet<(usize, usize, bool)>,
}

/// What jobs of one box have in common: task, state, and where they go to.
type Look<'a> = (&'a str, Option<&'static str>, BTreeSet<(usize, bool)>);

/// The whole flowchart.
pub(super) fn text(graph: &JobGraph) -> String {
    let drawing = Drawing::of(graph);
    let mut lines = vec!["flowchart LR".to_owned()];
    // Inputs first: Mermaid draws in this order.
    for (place, drawn) in drawing.boxes.iter().enumerate().rev() {
        lines.push(format!("    n{place}[\"{}\"]:::{}", drawn.label(), class(drawn.node.state)));
    }
    for (from, to, tolerated) in &drawing.arrows {
        let arrow = if *tolerated { "-.->" } else { "-->" };
        lines.push(format!("    n{from} {arrow} n{to}"));
    }
    let states: BTreeSet<_> = drawing.boxes.iter().map(|drawn| class(drawn.node.state)).collect();
    for (state, fill, stroke) in COLOURS {
        if states.contains(state) {
            lines.push(format!("    classDef {state} fill:{fill},stroke:{stroke},color:#111"));
        }
    }
    lines.join("\n") + "\n"
}

/// Fill and border for each state.
const COLOURS: [(&str, &str, &str); 9] = [
    ("scheduled", "#eef", "#88a"),
    ("blocked", "#eee", "#888"),
    ("ready", "#def", "#48a"),
    ("running", "#ffd", "#aa4"),
    ("done", "#dfd", "#4a4"),
    ("failed", "#fdd", "#a44"),
    ("cancelled", "#fed", "#a84"),
    ("expired", "#fed", "#a84"),
    (GONE, "#fff", "#bbb"),
];

/// The class of jobs of which the store knows nothing.
const GONE: &str = "gone";

fn class(state: Option<JobState>) -> &'static str {
    state.map_or(GONE, JobState::as_str)
}

impl<'a> Drawing<'a> {
    /// Draws level by level, each job after all that need it: only then is it known which jobs
    /// go to the same boxes.
    fn of(graph: &'a JobGraph) -> Self {
        let mut needed_by: HashMap<JobId, Vec<(JobId, bool)>> = HashMap::new();
        for edge in &graph.edges {
            needed_by.entry(edge.from).or_default().push((edge.to, edge.tolerated));
        }
        let mut drawing = Self::default();
        for level in levels(graph) {
            let mut looks: BTreeMap<Look<'_>, Vec<&Node>> = BTreeMap::new();
            for node in level {
                let to = needed_by.get(&node.id).into_iter().flatten();
                let to = to.map(|(job, tolerated)| (drawing.place[job], *tolerated)).collect();
                let state = node.state.map(JobState::as_str);
                looks.entry((&node.task, state, to)).or_default().push(node);
            }
            for ((_, _, to), nodes) in looks {
                let fold = if nodes.len() > FAN { nodes.len() } else { 1 };
                nodes.chunks(fold).for_each(|nodes| drawing.draw(nodes, &to));
            }
        }
        drawing
    }

    /// Draws jobs as one box.
    fn draw(&mut self, nodes: &[&'a Node], to: &BTreeSet<(usize, bool)>) {
        let place = self.boxes.len();
        self.boxes.push(Drawn { node: nodes[0], count: nodes.len() });
        self.place.extend(nodes.iter().map(|node| (node.id, place)));
        self.arrows.extend(to.iter().map(|(to, tolerated)| (place, *to, *tolerated)));
    }
}

/// The jobs by the length of the longest way from them to a job that nothing here needs.
fn levels(graph: &JobGraph) -> Vec<Vec<&Node>> {
    let mut open: HashMap<JobId, usize> = HashMap::new();
    let mut inputs: HashMap<JobId, Vec<JobId>> = HashMap::new();
    for edge in &graph.edges {
        *open.entry(edge.from).or_default() += 1;
        inputs.entry(edge.to).or_default().push(edge.from);
    }
    let nodes: HashMap<JobId, &Node> = graph.nodes.iter().map(|node| (node.id, node)).collect();
    let mut levels = Vec::new();
    let mut level: Vec<&Node> =
        graph.nodes.iter().filter(|node| !open.contains_key(&node.id)).collect();
    while !level.is_empty() {
        let mut next = Vec::new();
        for input in level.iter().filter_map(|node| inputs.get(&node.id)).flatten() {
            let open = open.get_mut(input).expect("each edge was counted at its start");
            *open -= 1;
            if *open == 0 {
                next.extend(nodes.get(input));
            }
        }
        levels.push(std::mem::replace(&mut level, next));
    }
    levels
}

impl Drawn<'_> {
    fn label(&self) -> String {
        let Self { node, count } = self;
        let state = node.state.map_or("not kept", JobState::as_str);
        let task = escaped(&node.task);
        match (*count, task.is_empty()) {
            (1, true) => format!("{}<br/>{state}", short(node.id)),
            (1, false) => format!("{}<br/>{task}<br/>{state}", short(node.id)),
            (count, true) => format!("{count} jobs<br/>{state}"),
            (count, false) => format!("{count} × {task}<br/>{state}"),
        }
    }
}

/// The end of an id: its start is the time, and jobs of one call share it.
fn short(id: JobId) -> String {
    let id = id.to_string();
    id[id.len() - 8..].to_owned()
}

/// A text from a job, as Mermaid takes any letter that could mean something: by its number.
fn escaped(text: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || " _:.-,/()".contains(letter);
    let escape = |letter: char| {
        if plain(letter) { letter.to_string() } else { format!("#{};", u32::from(letter)) }
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Edge;

    fn node(task: &str, state: JobState) -> Node {
        Node { id: JobId::new(), task: task.to_owned(), state: Some(state) }
    }

    fn edge(from: &Node, to: &Node) -> Edge {
        Edge { from: from.id, to: to.id, tolerated: false }
    }

    /// The lines of a graph with ids replaced by the letters that the test gives them.
    fn lines(graph: &JobGraph, names: &[(&Node, &str)]) -> Vec<String> {
        let mut text = text(graph);
        for (node, name) in names {
            text = text.replace(&short(node.id), name);
        }
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_diamond_has_an_arrow_for_each_edge_and_a_class_for_each_state() {
        let (top, left) = (node("join", JobState::Blocked), node("left", JobState::Running));
        let (right, bottom) = (node("right", JobState::Failed), node("list", JobState::Done));
        let tried = Edge { tolerated: true, ..edge(&right, &top) };
        let edges = vec![edge(&left, &top), tried, edge(&bottom, &left), edge(&bottom, &right)];
        let names = [(&top, "T"), (&left, "L"), (&right, "R"), (&bottom, "B")];
        let nodes = vec![top.clone(), left.clone(), right.clone(), bottom.clone()];
        let lines = lines(&JobGraph { nodes, edges }, &names);
        assert_eq!(
            lines[..9],
            [
                "flowchart LR",
                r#"n3["B<br/>list<br/>done"]:::done"#,
                r#"n2["R<br/>right<br/>failed"]:::failed"#,
                r#"n1["L<br/>left<br/>running"]:::running"#,
                r#"n0["T<br/>join<br/>blocked"]:::blocked"#,
                "n1 --> n0",
                "n2 -.-> n0",
                "n3 --> n1",
                "n3 --> n2",
            ]
        );
        let classes = lines[9..].iter().map(|line| line.split(' ').nth(1).unwrap());
        assert_eq!(classes.collect::<Vec<_>>(), ["blocked", "running", "done", "failed"]);
    }

    #[test]
    fn twenty_equal_inputs_are_drawn_and_more_are_counted() {
        let drawn = |count: usize| {
            let sum = node("sum", JobState::Blocked);
            let inputs: Vec<_> = (0..count).map(|_| node("count", JobState::Ready)).collect();
            let edges = inputs.iter().map(|input| edge(input, &sum)).collect();
            let nodes = std::iter::once(sum).chain(inputs).collect();
            text(&JobGraph { nodes, edges })
        };
        assert_eq!(drawn(20).matches(" --> ").count(), 20);
        let folded = drawn(21);
        assert_eq!(folded.matches(" --> ").count(), 1, "{folded}");
        assert!(folded.contains(r#"["21 × count<br/>ready"]:::ready"#), "{folded}");
    }

    #[test]
    fn inputs_of_a_folded_fan_are_folded_as_well_and_a_shared_one_is_drawn_once() {
        let (sum, shared) = (node("sum", JobState::Blocked), node("read", JobState::Done));
        let (mut nodes, mut edges) = (vec![sum.clone(), shared.clone()], Vec::new());
        for _ in 0..30 {
            let count = node("count", JobState::Blocked);
            let own = node("open", JobState::Ready);
            edges.extend([edge(&count, &sum), edge(&own, &count), edge(&shared, &count)]);
            nodes.extend([count, own]);
        }
        let text = text(&JobGraph { nodes, edges });
        assert!(text.contains("30 × count") && text.contains("30 × open"), "{text}");
        assert_eq!(text.matches("[\"").count(), 4, "{text}");
        assert_eq!(text.matches(" --> ").count(), 3, "{text}");
    }

    #[test]
    fn a_job_that_is_not_kept_is_drawn_and_a_name_cannot_break_the_text() {
        let gone = Node { id: JobId::new(), task: String::new(), state: None };
        let odd = node("a\"]; b\n#`", JobState::Done);
        let edges = vec![edge(&gone, &odd)];
        let lines = lines(
            &JobGraph { nodes: vec![odd.clone(), gone.clone()], edges },
            &[(&gone, "G"), (&odd, "O")],
        );
        assert_eq!(lines[1], r#"n1["G<br/>not kept"]:::gone"#);
        assert_eq!(lines[2], r#"n0["O<br/>a#34;#93;#59; b#10;#35;#96;<br/>done"]:::done"#);
    }
}
