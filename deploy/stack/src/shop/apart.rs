//! A shop whose services are processes of their own, and processes that are killed one by one.

use super::{Child, READY_WITHIN, Shop, Signal, StackError, edge_name};
use crate::{free_port, http_status};
use std::path::PathBuf;

/// A service in a process of its own.
#[derive(Debug)]
pub(super) struct Apart {
    child: Child,
    /// Where it says whether it is ready.
    metrics: u16,
}

impl Shop {
    /// Starts a service in a process of its own, with this environment; [`Self::wait_for_service`] waits for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_service(&mut self, name: &str, environment: &[(String, String)]) -> Result<(), StackError> {
        let metrics = free_port().map_err(StackError::file("no free port for", &PathBuf::from(name)))?;
        let mut launch = self
            .launch(name, &self.programs.bodega)
            .args(["serve", "--only", name, "--config"])
            .arg(self.core_file())
            .env("BODEGA__HTTP__METRICS", format!("127.0.0.1:{metrics}"));
        for (name, value) in environment {
            launch = launch.env(name, value);
        }
        let child = launch.signals(Signal::Kill, Signal::Terminate).start()?;
        self.services.insert(name.to_owned(), Apart { child, metrics });
        Ok(())
    }

    /// Waits until a service that was started is ready.
    ///
    /// # Errors
    /// When it does not come up, or was never started.
    pub fn wait_for_service(&mut self, name: &str) -> Result<(), StackError> {
        let Some(Apart { child, metrics }) = self.services.get_mut(name) else { return Ok(()) };
        let port = *metrics;
        child.wait_until(READY_WITHIN, || http_status(port, "/readyz") == Some(200))
    }

    /// Kills a process by its name: a service, `postgres`, `nats`, `redis`, `simulator`, `mail-catcher` or `edge-<n>`. Gives
    /// whether it ran.
    pub fn kill(&mut self, name: &str) -> bool {
        match name {
            "postgres" => self.postgres.kill(),
            "nats" => self.nats.kill(),
            "redis" => self.redis.kill(),
            _ => match self.process(name) {
                Some(child) => child.kill(),
                None => return false,
            },
        }
        true
    }

    /// Starts again what [`Self::kill`] has killed, without waiting for what takes long.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn revive(&mut self, name: &str, environment: &[(String, String)]) -> Result<(), StackError> {
        match name {
            "postgres" => self.postgres.restart(),
            "nats" => self.nats.restart(),
            "redis" => self.redis.restart(),
            "simulator" => self.start_simulator(),
            "mail-catcher" => self.start_mail_catcher(),
            _ => match self.number_of_edge(name) {
                Some(number) => self.start_edge(number),
                None => self.start_service(name, environment),
            },
        }
    }

    /// A process by its name, while it runs.
    pub fn process(&mut self, name: &str) -> Option<&mut Child> {
        match name {
            "postgres" => self.postgres.child(),
            "nats" => self.nats.child(),
            "redis" => self.redis.child(),
            "simulator" => self.simulator.as_mut(),
            "mail-catcher" => self.mail_catcher.as_mut(),
            _ => match self.number_of_edge(name) {
                Some(number) => self.edge(number),
                None => self.services.get_mut(name).map(|apart| &mut apart.child),
            },
        }
    }

    fn number_of_edge(&self, name: &str) -> Option<u16> {
        (1..=self.options.edges).find(|number| edge_name(*number) == name)
    }

    pub(super) fn start_services(&mut self) -> Result<(), StackError> {
        for name in self.options.service_per_process.clone() {
            self.start_service(&name, &[])?;
        }
        let names: Vec<String> = self.services.keys().cloned().collect();
        names.iter().try_for_each(|name| self.wait_for_service(name))
    }
}
