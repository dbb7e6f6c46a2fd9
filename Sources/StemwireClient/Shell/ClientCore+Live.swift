import StemwireProtocol
import ZeroMQ

extension ClientCore {
    /// Messages that one SUB socket takes ahead of the reactor; what the consumer is behind waits in its own queue.
    private static let receiveHighWaterMark = 64

    /// Adds a subscription and begins to join.
    func add(_ channel: LiveChannel) {
        guard !isClosed, server != nil else { return channel.subscriber.finish(.closed) }
        if channels.isEmpty { lastHeard = .now }
        channels[channel.number] = channel
        channel.alarm = Alarm(on: reactor) { [self] in
            control?.catchUp()
            channel.link?.catchUp()
            channel.subscriber.tick(now: .now)
            settle(channel)
        }
        connect(channel)
        // The status tells within a round trip whether anybody sends at all.
        isPolling = false
        poll()
    }

    private func connect(_ channel: LiveChannel) {
        guard let server else { return }
        let address = endpoint.address(of: .live, port: server.livePort)
        channel.unreachableSince = .now
        channel.topics = channel.subscriber.topics(source: server.source)
        do throws(ZMQError) {
            let link = try Link(
                .sub, to: address, isIPv6: endpoint.isIPv6, in: context, on: reactor,
                token: options.token, receiveHighWaterMark: Self.receiveHighWaterMark,
                handlers: Link.Handlers(
                    message: { [self] in receivedLive($0, on: channel) },
                    change: { [self] in liveChanged($0, on: channel) },
                    malformed: { channel.counters.change { $0.malformedMessages += 1 } }))
            channel.link = link
            try link.open(subscribingTo: channel.topics)
        } catch {
            end(channel: channel.number, .system(error.description))
        }
    }

    /// Ends a subscription; nil for a regular end.
    func end(channel number: UInt64, _ error: SubscriptionError?) {
        guard let channel = channels.removeValue(forKey: number) else { return }
        channel.alarm?.set(nil)
        channel.alarm = nil
        channel.link?.close(unsubscribingFrom: channel.topics)
        channel.link = nil
        channel.subscriber.close()
        channel.subscriber.finish(error)
        for waiter in channel.joinWaiters { waiter.resume(returning: error.map { .failure($0) } ?? .success(())) }
        channel.joinWaiters.removeAll()
        if channels.isEmpty { pollAlarm?.set(nil) }
    }

    /// Waits until a subscription has joined; at once when it is over.
    func joined(_ number: UInt64) async -> Result<Void, SubscriptionError> {
        guard let channel = channels[number] else { return isClosed ? .failure(.closed) : .success(()) }
        if channel.hasJoined { return .success(()) }
        return await withCheckedContinuation { channel.joinWaiters.append($0) }
    }

    func released(channel number: UInt64, bytes: Int) {
        channels[number]?.subscriber.released(bytes: bytes, now: .now)
    }

    // MARK: Messages

    private func liveChanged(_ change: Link.Change, on channel: LiveChannel) {
        guard channels[channel.number] === channel else { return }
        switch change {
        case .connected:
            channel.unreachableSince = nil
            takeSnapshot(for: channel)
        case .lost:
            channel.unreachableSince = channel.unreachableSince ?? .now
        case .reached, .notReached, .putOff, .refused: break
        }
    }

    private func receivedLive(_ parts: [ReceivedPart], on channel: LiveChannel) {
        guard channels[channel.number] === channel else { return }
        guard parts.count >= 2, let topic = parts[0].text, let header = LiveChannel.header(parts[1]),
            (1...64).contains(header.session.count), header.sequence > 0
        else {
            channel.counters.change { $0.malformedMessages += 1 }
            return
        }
        let session = Array(header.session)
        guard let server, session == server.session else {
            // Either a new server's, which HELLO has to settle first, or the last of the old one's.
            if isReady, server?.session != session { greetIfDue() }
            channel.counters.change { $0.staleMessages += 1 }
            return
        }
        _ = channel.sessions.enter(session)
        lastHeard = .now
        // A kind of a later version is skipped, but its number counts.
        let observation = channel.sessions.observe(topic: topic, sequence: header.sequence)
        guard let kind = header.kind else { return }
        channel.counters.change { $0.messages += 1 }
        do throws(MalformedMessage) {
            try channel.subscriber.received(kind, observation: observation, payloads: parts[2...], now: .now)
        } catch {
            channel.counters.change { $0.malformedMessages += 1 }
        }
        settle(channel)
    }

    /// Greets because of a live message of another session, but not for each of them.
    private func greetIfDue() {
        let now = ContinuousClock.now
        guard control?.isConnected == true, now - lastForcedGreeting >= options.pollInterval else { return }
        lastForcedGreeting = now
        greet()
    }

    /// Sees to what a subscriber wants after something has happened.
    func settle(_ channel: LiveChannel) {
        guard channels[channel.number] === channel else { return }
        if channel.subscriber.isDone { return end(channel: channel.number, nil) }
        if channel.hasJoined, channel.subscriber.takeSnapshotWish() { takeSnapshot(for: channel) }
        channel.alarm?.set(channel.subscriber.nextDeadline)
    }

    // MARK: Snapshots and status

    private func takeSnapshot(for channel: LiveChannel) {
        guard !channel.snapshotIsUnderWay else { return }
        channel.snapshotIsUnderWay = true
        let filter = channel.subscriber.snapshotFilter
        begin(filter.request, deadline: options.pollInterval * 5) { [self] result in
            channel.snapshotIsUnderWay = false
            guard channels[channel.number] === channel else { return }
            switch result {
            case .success(let reply): receivedSnapshot(reply, for: channel)
            case .failure(let failure) where failure.code == .notFound:
                // No such run yet, or no acquisition.
                received(.empty, for: channel)
            case .failure(let failure) where failure.code == .noReply || failure.code == .busy:
                if !channel.hasJoined || channel.subscriber.takeSnapshotWish() { takeSnapshotLater(for: channel) }
            case .failure(let failure):
                end(channel: channel.number, .refused(failure))
            }
        }
    }

    private func takeSnapshotLater(for channel: LiveChannel) {
        reactor.schedule(after: options.pollInterval) { [self] in
            if channels[channel.number] === channel { takeSnapshot(for: channel) }
        }
    }

    private func receivedSnapshot(_ reply: ControlReply, for channel: LiveChannel) {
        do throws(MalformedMessage) {
            guard case .snapshot(let wire)? = reply.wire.kind else { throw MalformedMessage("no snapshot") }
            let snapshot = try ResultSnapshot(
                wire, payloads: reply.payloads[...], verifiesChecksums: verifiesResults)
            channel.counters.change { $0.malformedMessages += snapshot.malformedChannels }
            received(snapshot, for: channel)
        } catch {
            counts.malformedMessages += 1
            if !channel.hasJoined { takeSnapshotLater(for: channel) }
        }
    }

    private func received(_ snapshot: ResultSnapshot, for channel: LiveChannel) {
        channel.subscriber.received(snapshot, isJoining: !channel.hasJoined, now: .now)
        if !channel.hasJoined {
            channel.hasJoined = true
            for waiter in channel.joinWaiters { waiter.resume(returning: .success(())) }
            channel.joinWaiters.removeAll()
        }
        settle(channel)
    }

    /// Asks for the status while there are subscriptions: what PUB has lost is noticed by it, and a server that is gone.
    func poll() {
        guard !channels.isEmpty, !isClosed else { return }
        pollAlarm?.set(.now + options.pollInterval)
        forgiveOversleeping()
        endLostChannels()
        guard !isPolling, !channels.isEmpty else { return }
        isPolling = true
        var request = WireRequest()
        request.status.report = report
        begin(request, deadline: options.pollInterval * 3) { [self] result in
            isPolling = false
            guard case .success(let reply) = result, case .status(let status)? = reply.wire.kind else { return }
            receivedStatus(status)
        }
    }

    /// What all subscriptions together have received and lost, for the server's status.
    private var report: WireSubscriberReport {
        var report = WireSubscriberReport()
        report.name = options.clientName
        report.clientID = .init(reportID)
        for channel in channels.values {
            let counts = channel.counters.current
            report.messagesReceived += UInt64(counts.messages)
            report.messagesDropped += UInt64(counts.lostMessages)
            report.framesReceived += UInt64(counts.frames)
            report.framesRepaired += UInt64(counts.repairedFrames)
        }
        return report
    }

    /// Hands a status to all subscriptions, whichever way it came.
    func receivedStatus(_ status: WireStatus) {
        let digest = StatusDigest(status)
        counts.malformedMessages += digest.malformed
        for channel in channels.values {
            channel.subscriber.received(digest, isFirst: !channel.hasStatus, now: .now)
            channel.hasStatus = true
            settle(channel)
        }
    }

    /// After this process itself was held up, or the machine slept, the server's silence is not the server's fault.
    private func forgiveOversleeping() {
        let now = ContinuousClock.now
        defer { lastPoll = now }
        guard now - lastPoll > options.pollInterval + options.lossTimeout / 2 else { return }
        lastHeard = now
        for channel in channels.values where channel.unreachableSince != nil { channel.unreachableSince = now }
    }

    private func endLostChannels() {
        let now = ContinuousClock.now
        for (number, channel) in channels {
            if now - lastHeard >= options.lossTimeout {
                end(channel: number, .connectionLost(endpoint, after: options.lossTimeout))
            } else if let since = channel.unreachableSince, now - since >= options.lossTimeout, let link = channel.link
            {
                let live = (try? ServerEndpoint(link.address)) ?? endpoint
                end(channel: number, .connectionLost(live, after: options.lossTimeout))
            }
        }
    }

    /// Another server process has taken the old one's place, perhaps with other ports.
    func serverRestarted() {
        for peer in idlePeers { peer.close() }
        idlePeers.removeAll()
        for channel in channels.values {
            channel.subscriber.serverRestarted(now: .now)
            channel.hasStatus = false
            channel.link?.close(unsubscribingFrom: channel.topics)
            connect(channel)
            settle(channel)
        }
    }
}
