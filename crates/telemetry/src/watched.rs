//! The other end of what is asked about monitors and alerts.

use hyper::Method;
use monitors::{
    Acknowledge, Alert, Delivery, DrillOrder, Maintenance, MonitorDetails, MonitorState, ObjectiveState, Pause, Resume,
};
use reconcile::Fault;

use crate::client::TelemetryClient;

impl TelemetryClient {
    /// # Errors
    /// Where nobody answers.
    pub async fn monitors(&self) -> Result<Vec<MonitorState>, Fault> {
        self.get("/monitors").await
    }

    /// # Errors
    /// Where nobody answers, or there is no such monitor.
    pub async fn monitor(&self, name: &str) -> Result<MonitorDetails, Fault> {
        self.post("/monitors/one", &name).await
    }

    /// # Errors
    /// As [`Self::monitor`].
    pub async fn pause_monitors(&self, pause: &Pause) -> Result<(), Fault> {
        self.post("/monitors/pause", pause).await
    }

    /// How many were paused.
    ///
    /// # Errors
    /// As [`Self::monitor`].
    pub async fn resume_monitors(&self, monitors: Vec<String>) -> Result<usize, Fault> {
        self.post("/monitors/resume", &Resume { monitors }).await
    }

    /// Tells what control knows.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn tell_monitors(&self, known: &Maintenance) -> Result<(), Fault> {
        let body =
            serde_json::to_vec(known).map_err(|error| Fault::because("cannot tell monitors anything", &error))?;
        self.ask(Method::PUT, "/monitors/told", body.into()).await
    }

    /// Begins a drill. Returns the name of its monitor.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn drill(&self, order: &DrillOrder) -> Result<String, Fault> {
        self.post("/monitors/drill", order).await
    }

    /// # Errors
    /// Where nobody answers.
    pub async fn objectives(&self) -> Result<Vec<ObjectiveState>, Fault> {
        self.get("/objectives").await
    }

    /// Open ones first, then the latest.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn alerts(&self) -> Result<Vec<Alert>, Fault> {
        self.get("/alerts").await
    }

    /// # Errors
    /// Where nobody answers, or there is no such open alert.
    pub async fn acknowledge_alert(&self, alert: i64, who: &str) -> Result<(), Fault> {
        self.post("/alerts/ack", &Acknowledge { alert, who: who.to_owned() }).await
    }

    /// Has a word said by which nothing is meant. Returns the number of its delivery.
    ///
    /// # Errors
    /// Where nobody answers, or there is no such channel.
    pub async fn test_channel(&self, channel: &str) -> Result<i64, Fault> {
        self.post("/alerts/test", &channel).await
    }

    /// The latest first.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn deliveries(&self) -> Result<Vec<Delivery>, Fault> {
        self.get("/alerts/deliveries").await
    }

    /// # Errors
    /// Where nobody answers, or there is no such delivery.
    pub async fn delivery(&self, id: i64) -> Result<Delivery, Fault> {
        self.get(&format!("/alerts/deliveries/{id}")).await
    }
}
