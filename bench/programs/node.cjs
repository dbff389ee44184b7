// The ordinary SSE server of Node.js: one consumer, a set of responses, each message written to each of them.
// node node.cjs FOLDER BROKER TOPIC PORT
'use strict';

const http = require('http');
const path = require('path');

const [folder, broker, topic, port] = process.argv.slice(2);
const { Kafka, logLevel } = require(path.join(folder, 'node_modules', 'kafkajs'));

const responses = new Set();

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  response.write(':ok\n\n');
  responses.add(response);
  request.on('close', () => responses.delete(response));
});

async function main() {
  const kafka = new Kafka({ clientId: 'bench', brokers: [broker], logLevel: logLevel.ERROR });
  const consumer = kafka.consumer({ groupId: `node-${topic}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: false });
  await consumer.run({
    eachMessage: async ({ message }) => {
      const event = `data: ${message.value}\n\n`;
      for (const response of responses) response.write(event);
    },
  });
  server.listen(Number(port), '127.0.0.1', 4096);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
