// Wikimedia's kafka-sse as its documentation serves it: one Kafka consumer per client.
// node kafka_sse.cjs FOLDER BROKER TOPIC PORT
'use strict';

const http = require('http');
const path = require('path');

const [folder, broker, topic, port] = process.argv.slice(2);
const kafkaSse = require(path.join(folder, 'node_modules', 'kafka-sse'));

const quiet = { child: () => quiet, trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} };

http.createServer((request, response) => {
  const options = { kafkaConfig: { 'metadata.broker.list': broker }, logger: quiet };
  kafkaSse(request, response, [topic], options);
}).listen(Number(port), '127.0.0.1', 1024);
