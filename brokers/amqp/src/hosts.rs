//! The nodes of a cluster: where a connection can lead.

use lapin::uri::{AMQPScheme, AMQPUri};
use url::Url;

/// A node besides the one that the URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
    port: u16,
}

/// The value of the option `hosts`: `host` or `host:port`, with commas between them.
pub(crate) fn parse(value: &str, scheme: &AMQPScheme) -> Result<Vec<Host>, String> {
    let hosts = value.split(',').map(|entry| host(entry, scheme));
    hosts.collect::<Option<_>>().ok_or_else(|| {
        format!(
            "`hosts` names further nodes of the cluster, such as `mq2.example:5672,mq3.example`, \
             without user and virtual host, which are those of the URL; not `{}`",
            // Somebody may have written a whole URL with its password.
            value.rsplit('@').next().unwrap_or_default()
        )
    })
}

fn host(entry: &str, scheme: &AMQPScheme) -> Option<Host> {
    let url = Url::parse(&format!("amqp://{entry}")).ok()?;
    let name = url.host_str().filter(|host| !host.is_empty())?;
    // Only what was written as a host and a port reads back as the same.
    let is_host = match url.port() {
        Some(port) => entry == format!("{name}:{port}"),
        None => entry == name,
    };
    let default = match scheme {
        AMQPScheme::AMQP => 5_672,
        AMQPScheme::AMQPS => 5_671,
    };
    is_host.then(|| Host { name: name.to_owned(), port: url.port().unwrap_or(default) })
}

/// The nodes in the order in which they are tried: the URL's own is the first.
pub(crate) fn in_turn(own: &AMQPUri, others: &[Host]) -> Vec<AMQPUri> {
    let mut all = vec![own.clone()];
    for Host { name, port } in others {
        let mut other = own.clone();
        name.clone_into(&mut other.authority.host);
        other.authority.port = *port;
        all.push(other);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Vec<Host> {
        parse(value, &AMQPScheme::AMQP).unwrap()
    }

    #[test]
    fn hosts_have_the_port_of_the_scheme_unless_they_name_one() {
        let host = |name: &str, port| Host { name: name.to_owned(), port };
        assert_eq!(parsed("b:1,c.example"), [host("b", 1), host("c.example", 5_672)]);
        assert_eq!(
            parsed("127.0.0.2:12000,[::1]"),
            [host("127.0.0.2", 12_000), host("[::1]", 5_672)]
        );
        assert_eq!(parse("b", &AMQPScheme::AMQPS).unwrap(), [host("b", 5_671)]);
    }

    #[test]
    fn what_is_no_host_is_refused_with_what_to_write_and_without_a_password() {
        for wrong in ["", "b,", ",b", "b:x", "b:99999", "b/jobs", "me:secret@b", "amqp://b", "b c"]
        {
            let refused = parse(wrong, &AMQPScheme::AMQP).unwrap_err();
            assert!(refused.contains("`mq2.example:5672,mq3.example`"), "{wrong}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
    }

    #[test]
    fn nodes_are_tried_in_turn_from_the_own_one_on_with_its_user_and_virtual_host() {
        let own: AMQPUri = "amqp://me:secret@a:1/jobs".parse().unwrap();
        let all = in_turn(&own, &parsed("b:2,c:3"));
        let places = all.iter().map(|uri| (uri.authority.host.as_str(), uri.authority.port));
        assert_eq!(places.collect::<Vec<_>>(), [("a", 1), ("b", 2), ("c", 3)]);
        assert!(all.iter().all(|uri| uri.vhost == "jobs"));
        assert!(all.iter().all(|uri| uri.authority.userinfo == own.authority.userinfo));
        assert_eq!(in_turn(&own, &[]), [own]);
    }
}
