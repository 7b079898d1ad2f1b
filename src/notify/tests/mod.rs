mod month;
mod outbox;
mod routes;
