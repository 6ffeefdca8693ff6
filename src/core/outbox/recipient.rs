//! To whom a delivery goes: a channel and a consumer tag, as far as they stand in each `basic.deliver`.

use crate::core::message::View;
use crate::protocol::frame::FRAME_END;

/// A consumer as an outbox sees it.
pub struct Recipient {
    channel: u16,
    /// `basic.deliver` up to and with the consumer tag: only what follows differs between deliveries.
    prefix: Box<[u8]>,
}

impl Recipient {
    /// A consumer by its channel and tag (at most 255 bytes).
    pub fn new(channel: u16, tag: &[u8]) -> Self {
        let mut prefix = vec![1];
        prefix.extend_from_slice(&channel.to_be_bytes());
        prefix.extend_from_slice(&[0, 0, 0, 0, 0, 60, 0, 60, tag.len() as u8]);
        prefix.extend_from_slice(tag);
        Self { channel, prefix: prefix.into() }
    }

    /// Its channel.
    #[inline]
    pub fn channel(&self) -> u16 {
        self.channel
    }

    /// Appends `basic.deliver` and the content.
    #[inline]
    pub fn write_delivery(
        &self,
        out: &mut Vec<u8>,
        delivery_tag: u64,
        redelivered: bool,
        view: &View<'_>,
        frame_size_bytes_max: usize,
    ) {
        let names = view.exchange_and_key();
        let payload_bytes = self.prefix.len() - 7 + 9 + names.len();
        let at = out.len();
        out.extend_from_slice(&self.prefix);
        out[at + 3..at + 7].copy_from_slice(&(payload_bytes as u32).to_be_bytes());
        let mut middle = [0; 9];
        middle[..8].copy_from_slice(&delivery_tag.to_be_bytes());
        middle[8] = u8::from(redelivered);
        out.extend_from_slice(&middle);
        out.extend_from_slice(names);
        out.push(FRAME_END);
        view.write_content(out, self.channel, frame_size_bytes_max);
    }
}
