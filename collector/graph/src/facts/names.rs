//! Which names facts refer to, so that a file or a long-lived table keeps those and no others.

use super::{EnvironmentFacts, Facts, OperationKey, ServiceFacts};
use crate::name::Name;

impl Facts {
    /// Visits every name that the facts refer to; one may come more than once.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        for environment in self.environments.keys() {
            visit(environment);
        }
        self.environments.values().chain([self.environments.overflow()]).for_each(|facts| facts.for_each_name(visit));
    }
}

impl EnvironmentFacts {
    fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        self.services.keys().for_each(|service| service.for_each_name(visit));
        self.services.values().chain([self.services.overflow()]).for_each(|facts| facts.for_each_name(visit));
        self.operations.keys().for_each(|key| key.for_each_name(visit));
        for key in self.edges.keys() {
            key.caller.for_each_name(visit);
            key.callee.for_each_name(visit);
        }
        for key in self.patterns.keys() {
            key.caller.for_each_name(visit);
            key.callee.for_each_name(visit);
            visit(key.template);
        }
        for key in self.usages.keys() {
            [key.datastore.system, key.datastore.address, key.datastore.namespace, key.table]
                .into_iter()
                .for_each(&mut *visit);
            key.service.for_each_name(visit);
        }
        for key in self.loops.keys() {
            key.services.iter().for_each(|service| service.for_each_name(visit));
        }
    }
}

impl ServiceFacts {
    fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        for labels in [&self.instances, &self.versions, &self.owners, &self.languages] {
            labels.keys().for_each(&mut *visit);
        }
    }
}

impl OperationKey {
    fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        self.service.for_each_name(visit);
        visit(self.operation);
    }
}
