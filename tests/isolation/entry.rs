//! As whom a peer comes to the broker, and by which way.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::ClientConfig;
use socket2::{Domain, Socket, Type};

use crate::{machines::step_aside, tls::Tls, wire::Stream};

#[derive(Clone)]
pub struct Entry {
    pub address: String,
    pub user: String,
    pub password: String,
    pub vhost: String,
    /// Over TLS with this, if not in the clear.
    pub tls: Option<Arc<ClientConfig>>,
    /// From this address of the machine, if it matters.
    pub from: Option<Ipv4Addr>,
}

impl Entry {
    /// The default user's, in the clear.
    pub fn guest(address: &str) -> Self {
        let [user, password, vhost] = ["guest", "guest", "/"].map(String::from);
        Self { address: address.to_owned(), user, password, vhost, tls: None, from: None }
    }

    /// A connection on which TLS is agreed upon, if it is to be.
    pub fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let tcp = self.tcp()?;
        Ok(match &self.tls {
            None => Box::new(tcp),
            Some(config) => Box::new(Tls::on(tcp, config).agree()?),
        })
    }

    /// A socket on which nothing was said.
    pub fn tcp(&self) -> io::Result<TcpStream> {
        let tcp = match self.from {
            None => TcpStream::connect(&self.address)?,
            Some(from) => {
                let address: SocketAddr = self.address.parse().map_err(io::Error::other)?;
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                socket.bind(&SocketAddr::from((from, 0)).into())?;
                socket.connect(&address.into())?;
                socket.into()
            }
        };
        tcp.set_nodelay(true)?;
        step_aside();
        Ok(tcp)
    }
}
