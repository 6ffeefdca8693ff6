//! The index and what is declared and set as keys and values, and back.
//!
//! A checkpoint is one atomic batch: what changed since the last one, together with the place in the log that
//! the store reflects from then on. So after a crash the store is exactly as some checkpoint left it, and the
//! log is replayed from its stamp. Use of segments is not stored; it follows from the blocks. This module knows
//! neither when a checkpoint is due, nor what to do when a store is lost; [`definitions`] are what remains of
//! what was declared and set then.

pub mod definitions;
mod entities;
mod entity;
mod reader;
mod value;

use std::collections::HashSet;

pub use entities::Entities;
pub use entity::Entity;

use crate::core::{change::TopologyChange, placement::QueueId};
use crate::store::{
    index::{Inconsistent, Index, IndexChange, IndexChanges},
    kv::{Batch, Key, KeyKind, KeyName, KeyValue, KvError},
    position::LogPosition,
};
use entities::{KeyChange, implied, key_of};
use value::Meta;

/// What a store holds.
#[derive(Debug)]
pub struct Loaded {
    /// The place in the log that it reflects: everything before it, and nothing behind.
    pub stamp: LogPosition,
    /// The index.
    pub index: Index,
    /// What is declared and set, in an order in which it can be made again.
    pub entities: Vec<Entity>,
}

/// Why a store cannot be read back. It counts as lost, unless a later version wrote it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store itself fails.
    #[error(transparent)]
    Store(#[from] KvError),
    /// A value is not one that was written, or does not go with the others.
    #[error("the key-value store is damaged at {key}: {damage}")]
    Damaged {
        /// Where.
        key: KeyName,
        /// What is wrong.
        damage: Damage,
    },
    /// A later Leveret wrote a value.
    #[error("the key-value store has version {version} at {key}, which this version cannot read")]
    Version {
        /// Where.
        key: KeyName,
        /// Of the value.
        version: u8,
    },
}

/// What is wrong with a key or its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The key is none of ours, or is not that of its value.
    #[error("the key is wrong")]
    Key,
    /// The value cannot be read.
    #[error("the value is wrong")]
    Value,
    /// The store has keys, but no stamp.
    #[error("there is no stamp")]
    NoStamp,
    /// A queue is declared and has no positions, or has positions and is not declared.
    #[error("the queue is only half there")]
    HalfQueue,
    /// The index does not take it.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

/// One batch of all that changed, stamped. Both kinds of changes must end at the stamp.
pub fn batch(stamp: LogPosition, index: &IndexChanges, entities: &[Entity]) -> Batch {
    let mut batch = Batch::default();
    let meta = Meta { stamp, last_queue: index.last_queue };
    batch.put(&Key::Meta, value::encode_meta(&meta));
    for change in &index.changes {
        put_index_change(&mut batch, change);
    }
    for entity in entities {
        put_entity(&mut batch, entity);
        if let Some(implied) = implied(entity) {
            put_entity(&mut batch, &implied);
        }
    }
    batch
}

/// What a store holds. `None` if it is empty.
pub fn load(store: &dyn KeyValue) -> Result<Option<Loaded>, LoadError> {
    let Some(meta) = store.get(&Key::Meta)? else { return check_empty(store) };
    check_version(&Key::Meta.to_bytes(), &meta, value::VERSION)?;
    let meta = value::decode_meta(&meta).ok_or_else(|| damaged(&Key::Meta.to_bytes(), Damage::Value))?;
    let mut index = Index::new();
    index.restore_last_queue(meta.last_queue);
    load_queues(store, &mut index)?;
    load_blocks(store, &mut index)?;
    let entities = entities(store)?;
    check_queues(&index, &entities)?;
    Ok(Some(Loaded { stamp: meta.stamp, index, entities }))
}

fn put_index_change(batch: &mut Batch, change: &IndexChange) {
    match *change {
        IndexChange::Queue(ref state) => batch.put(&Key::Queue(state.id), value::encode_queue(state)),
        IndexChange::QueueGone(id) => batch.delete(&Key::Queue(id)),
        IndexChange::Block { queue, number, ref image } => {
            batch.put(&Key::Block { queue, number }, value::encode_block(image));
        }
        IndexChange::BlockGone { queue, number } => batch.delete(&Key::Block { queue, number }),
    }
}

fn put_entity(batch: &mut Batch, change: &Entity) {
    match key_of(change) {
        Some((key, KeyChange::Put)) => batch.put(&key, entity::encode(change)),
        Some((key, KeyChange::Delete)) => batch.delete(&key),
        None => {}
    }
}

fn check_empty(store: &dyn KeyValue) -> Result<Option<Loaded>, LoadError> {
    for kind in KeyKind::ALL {
        if let Some((key, _)) = store.scan(kind).next().transpose()? {
            return Err(damaged(&key, Damage::NoStamp));
        }
    }
    Ok(None)
}

fn load_queues(store: &dyn KeyValue, index: &mut Index) -> Result<(), LoadError> {
    for pair in store.scan(KeyKind::Queue) {
        let (key, value) = pair?;
        let Some(Key::Queue(id)) = Key::from_bytes(&key) else { return Err(damaged(&key, Damage::Key)) };
        check_version(&key, &value, value::VERSION)?;
        let state = value::decode_queue(id, &value).ok_or_else(|| damaged(&key, Damage::Value))?;
        index.restore_queue(&state).map_err(|why| damaged(&key, why.into()))?;
    }
    Ok(())
}

fn load_blocks(store: &dyn KeyValue, index: &mut Index) -> Result<(), LoadError> {
    for pair in store.scan(KeyKind::Block) {
        let (key, value) = pair?;
        let Some(Key::Block { queue, number }) = Key::from_bytes(&key) else {
            return Err(damaged(&key, Damage::Key));
        };
        check_version(&key, &value, value::VERSION)?;
        let image = value::decode_block(&value).ok_or_else(|| damaged(&key, Damage::Value))?;
        index.restore_block(queue, number, &image).map_err(|why| damaged(&key, why.into()))?;
    }
    Ok(())
}

/// What is declared and set, in an order in which it can be made again.
pub fn entities(store: &dyn KeyValue) -> Result<Vec<Entity>, LoadError> {
    let mut entities = Vec::new();
    for kind in KeyKind::ENTITIES.iter().copied() {
        for pair in store.scan(kind) {
            let (key, value) = pair?;
            check_version(&key, &value, entity::VERSION)?;
            let entity = entity::decode(&value).map_err(|_| damaged(&key, Damage::Value))?;
            match key_of(&entity) {
                Some((own, KeyChange::Put)) if own.to_bytes() == key => {}
                _ => return Err(damaged(&key, Damage::Key)),
            }
            entities.push(entity);
        }
    }
    Ok(entities)
}

/// What the first octet of a value says is refused if it is not known; whether it is damaged is not known here.
fn check_version(key: &[u8], value: &[u8], newest: u8) -> Result<(), LoadError> {
    match value.first() {
        Some(&version) if version > newest => Err(LoadError::Version { key: key.into(), version }),
        _ => Ok(()),
    }
}

/// Every queue is declared once and has positions.
fn check_queues(index: &Index, entities: &[Entity]) -> Result<(), LoadError> {
    let mut undeclared: HashSet<QueueId> = index.queues().map(|state| state.id).collect();
    for entity in entities {
        if let Entity::Topology { vhost, change: TopologyChange::QueueDeclared { id, name, .. } } = entity
            && !undeclared.remove(id)
        {
            return Err(damaged(&Key::QueueDeclared { vhost, name }.to_bytes(), Damage::HalfQueue));
        }
    }
    match undeclared.iter().min() {
        Some(&id) => Err(damaged(&Key::Queue(id).to_bytes(), Damage::HalfQueue)),
        None => Ok(()),
    }
}

fn damaged(key: &[u8], damage: Damage) -> LoadError {
    LoadError::Damaged { key: key.into(), damage }
}

#[cfg(test)]
mod tests;
