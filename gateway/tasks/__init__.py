"""Work that outlives its request: durable tasks, their poller, their webhooks."""
