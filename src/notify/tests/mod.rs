mod full;
mod month;
mod outbox;
mod routes;
