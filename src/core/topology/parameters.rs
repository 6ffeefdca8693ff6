//! Parameters of a virtual host, as RabbitMQ's components and plugins set them (`rabbitmqctl set_parameter`).
//!
//! Nothing here heeds them: they are kept, so that definitions go in and out unchanged.

use super::Topology;
use crate::core::change::TopologyChange;
use crate::protocol::ShortString;

impl Topology {
    /// All parameters by component and name: their JSON.
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&ShortString, &ShortString, &str)> {
        self.parameters.iter().map(|((component, name), value)| (component, name, &**value))
    }

    /// The JSON of a parameter.
    pub fn parameter(&self, component: &ShortString, name: &ShortString) -> Option<&str> {
        self.parameters.get(&(component.clone(), name.clone())).map(|value| &**value)
    }

    /// Sets a parameter, in the place of the one of its component and name.
    pub fn set_parameter(&mut self, component: ShortString, name: ShortString, value: String) {
        self.parameters.insert((component.clone(), name.clone()), value.clone());
        self.changes.push(TopologyChange::ParameterSet { component, name, value });
    }

    /// Removes a parameter. False if there is none of this name.
    pub fn delete_parameter(&mut self, component: ShortString, name: ShortString) -> bool {
        let key = (component, name);
        let was_there = self.parameters.remove(&key).is_some();
        if was_there {
            let (component, name) = key;
            self.changes.push(TopologyChange::ParameterDeleted { component, name });
        }
        was_there
    }
}
