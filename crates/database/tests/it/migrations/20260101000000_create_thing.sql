CREATE TABLE example.thing (id bigint PRIMARY KEY);
