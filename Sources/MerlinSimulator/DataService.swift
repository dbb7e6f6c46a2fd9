import MerlinProtocol
import StemwireSystem

/// The data port: one client at a time is sent what the detector's state says.
final class DataService {
    private let core: SimulatorCore
    private let listener: TCPListener
    private var cache: (key: AcquisitionPlan, messages: MessageCache)?
    private var run: Run?
    private var pace: FramePace
    private var lastProgress = ContinuousClock.now
    /// Frames that all runs may still have; nil for no limit. Of use in a continuous acquisition.
    private var framesLeft: Int?

    /// The acquisition being sent.
    private struct Run {
        var plan: AcquisitionPlan
        var store: any MessageStore
        var faults: FaultStream?
        var frames = 0
        var began: ContinuousClock.Instant?
        var toldWaiting = false
        var saturatedBefore = 0
    }

    /// Why a client is not served any more.
    private enum Parting: Error {
        case clientGone
        case detectorEnded
        case finished
    }

    init(_ core: SimulatorCore, _ listener: TCPListener) {
        self.core = core
        self.listener = listener
        pace = FramePace(microseconds: core.configuration.dwellMicroseconds)
        let configuration = core.configuration
        framesLeft =
            configuration.isContinuous
            ? configuration.maximumRuns.map { $0 * core.source.setup.frameCount } : nil
    }

    /// Makes the memory cache for the settings at the start, if there shall be one.
    func prepare() throws {
        guard core.configuration.cache == .memory, !core.source.variesByAcquisition else { return }
        _ = try cached(core.state.value.presentPlan)
    }

    /// Runs until the simulator ends.
    func serveAll() {
        while let connection = core.accept(listener) {
            core.observer?(.dataClientConnected(peer: connection.peer))
            core.state.withLock { $0.dataClientConnected() }
            let isFinished = serve(connection)
            run = nil
            core.state.withLock { $0.dataClientLeft() }
            core.unregister(connection)
            core.triggerWakeUp.signal()
            core.observer?(.dataClientLeft(peer: connection.peer))
            if isFinished { core.finish() }
        }
    }

    /// True when the last run is done.
    private func serve(_ connection: TCPConnection) -> Bool {
        do {
            if core.configuration.sendsGarbage {
                let garbage = FaultPlan.garbage(
                    seed: core.configuration.seed, count: SimulatorConfiguration.garbageBytes)
                try send(garbage, on: connection)
            }
            while !core.isStopping { try step(connection) }
            return false
        } catch Parting.finished {
            part(connection)
            return true
        } catch Parting.detectorEnded {
            part(connection)
            return false
        } catch is Parting {
            return false
        } catch {
            core.finish(error)
            return false
        }
    }

    private func step(_ connection: TCPConnection) throws {
        var limit = run == nil ? 1 : batch
        if let framesLeft { limit = min(limit, framesLeft) }
        guard limit > 0 else {
            if let run {
                core.state.withLock { $0.abortStream(run.plan.id) }
                core.observer?(.acquisitionEnded(number: run.plan.id, .stopped))
            }
            throw Parting.finished
        }
        let streaming = run?.plan.id
        let step = core.state.withLock { $0.nextStep(streaming: streaming, limit: limit) }
        core.triggerWakeUp.signal()
        switch step {
        case .wait: try wait(connection)
        case .begin(let plan): try begin(plan, connection)
        case .frames(let frames): try sendFrames(frames, connection)
        case .end(let end): try endRun(end, connection)
        }
    }

    /// Frames that are asked for at once: a piece's worth, and about a millisecond's if there is a pace.
    private var batch: Int {
        guard let run, run.faults == nil else { return 1 }
        return min(max(1, FreshMessages.pieceBytes / run.store.writer.messageBytes), pace.batch)
    }

    private func wait(_ connection: TCPConnection) throws {
        if run != nil, run?.toldWaiting == false {
            run?.toldWaiting = true
            core.observer?(.waitingForTrigger)
        }
        guard core.wait(for: core.dataWakeUp, or: connection) == .readable else { return }
        var unwanted = [UInt8](repeating: 0, count: 4096)
        guard case .bytes = unwanted.withUnsafeMutableBytes({ connection.receive(into: $0) }) else {
            throw Parting.clientGone
        }
    }

    // MARK: - An acquisition

    private func begin(_ plan: AcquisitionPlan, _ connection: TCPConnection) throws {
        let configuration = core.configuration
        let store: any MessageStore
        if configuration.cache == .memory {
            let writer = try core.source.writer(for: plan, startedAt: .now)
            store = CachedMessages(try cached(plan), writer: writer)
        } else {
            store = FreshMessages(try core.source.writer(for: plan, startedAt: .now))
        }
        var run = Run(plan: plan, store: store)
        core.observer?(.acquisitionBegan(number: plan.id, frames: plan.frameCount))
        if configuration.faults.applies(to: plan.id) {
            var faults = FaultStream(
                configuration.faults, seed: configuration.seed, acquisition: plan.id, frameCount: plan.frameCount,
                messageBytes: store.writer.messageBytes)
            var events: [WireEvent] = []
            faults.begin(&events)
            run.faults = faults
            self.run = run
            try perform(events, connection)
        } else {
            self.run = run
            try send(store.writer.headerMessage, on: connection)
        }
    }

    private func sendFrames(_ frames: Range<Int>, _ connection: TCPConnection) throws {
        guard run != nil else { return }
        run?.toldWaiting = false
        if run?.began == nil {
            run?.began = .now
            pace.restart()
        }
        if let due = pace.next(frames.count) { core.sleep(until: due) }
        if run?.faults != nil {
            for frame in frames {
                var events: [WireEvent] = []
                run?.faults?.frame(frame, into: &events)
                if frame + 1 == run?.plan.frameCount {
                    run?.faults?.end(&events)
                    lastFramesLeave()
                }
                try perform(events, connection)
            }
        } else if let store = run?.store {
            var rest = frames
            while !rest.isEmpty {
                let (bytes, count) = try store.messages(rest)
                if rest.lowerBound + count == run?.plan.frameCount { lastFramesLeave() }
                try send(bytes, on: connection)
                rest = (rest.lowerBound + count)..<rest.upperBound
                noteSent(count, store.writer)
            }
        }
        framesLeft? -= frames.count
    }

    private func lastFramesLeave() {
        guard let plan = run?.plan else { return }
        core.state.withLock { $0.framesLeave(plan.id) }
    }

    private func endRun(_ end: DetectorState.End, _ connection: TCPConnection) throws {
        guard let ended = run else { return }
        run = nil
        let configuration = core.configuration
        let runs = core.statistics.withLock { statistics in
            if !configuration.isContinuous { statistics.runs += 1 }
            return statistics.runs
        }
        core.observer?(.acquisitionEnded(number: ended.plan.id, end))
        core.observer?(.progress(core.statistics.value))
        if let most = configuration.maximumRuns, runs >= most { throw Parting.finished }
    }

    private func noteSent(_ frames: Int, _ writer: any MessageWriter) {
        guard var run else { return }
        run.frames += frames
        let saturated = writer.saturatedPixels - run.saturatedBefore
        run.saturatedBefore = writer.saturatedPixels
        self.run = run
        let now = ContinuousClock.now
        let seconds = run.began.map { ($0.duration(to: now)) / .seconds(1) } ?? 0
        let scan = core.configuration.isContinuous ? core.source.setup.frameCount : nil
        let statistics = core.statistics.withLock { statistics in
            statistics.frames += frames
            statistics.saturatedPixels += saturated
            if let scan { statistics.runs = statistics.frames / scan }
            if seconds > 0 { statistics.framesPerSecond = Double(run.frames) / seconds }
            return statistics
        }
        if let observer = core.observer, lastProgress.duration(to: now) > .milliseconds(250) {
            lastProgress = now
            observer(.progress(statistics))
        }
    }

    // MARK: - Faults

    private func perform(_ events: [WireEvent], _ connection: TCPConnection) throws {
        for event in events {
            guard let store = run?.store else { return }
            let size = store.writer.messageBytes
            switch event {
            case .header: try send(store.writer.headerMessage, on: connection)
            case .frame(let frame):
                try send(store.messages(frame..<(frame + 1)).bytes, on: connection)
            case .truncated(let frame, let bytes):
                let message = try store.messages(frame..<(frame + 1)).bytes
                try send(UnsafeRawBufferPointer(rebasing: message[..<min(bytes, size)]), on: connection)
            case .wrongLength(let frame, let amount):
                try send(MPXPrefix.encoded(bodyBytes: max(0, size - MPXPrefix.byteCount + amount)), on: connection)
                let message = try store.messages(frame..<(frame + 1)).bytes
                try send(UnsafeRawBufferPointer(rebasing: message[MPXPrefix.byteCount...]), on: connection)
            case .trickled(let frame, let duration):
                try trickle(try store.messages(frame..<(frame + 1)).bytes, duration, connection)
            case .garbage(let seed, let count):
                try send(FaultPlan.garbage(seed: seed, count: count), on: connection)
            case .nul(let count): try send([UInt8](repeating: 0, count: count), on: connection)
            case .pause(let duration): core.sleep(until: .now + duration)
            case .abort:
                if let plan = run?.plan { core.state.withLock { $0.abortStream(plan.id) } }
            case .halfClose: throw Parting.detectorEnded
            case .reset:
                connection.resetOnClose()
                throw Parting.clientGone
            }
            switch event {
            case .frame, .truncated, .wrongLength, .trickled: noteSent(1, store.writer)
            default: break
            }
        }
    }

    private func trickle(
        _ message: UnsafeRawBufferPointer, _ duration: Duration, _ connection: TCPConnection
    ) throws {
        let pieces = min(100, message.count)
        let start = ContinuousClock.now
        for piece in 0..<pieces {
            let range = (message.count * piece / pieces)..<(message.count * (piece + 1) / pieces)
            try send(UnsafeRawBufferPointer(rebasing: message[range]), on: connection)
            core.sleep(until: start + duration * (piece + 1) / pieces)
        }
    }

    // MARK: - Sending

    private func send(_ bytes: UnsafeRawBufferPointer, on connection: TCPConnection) throws {
        do throws(SystemError) {
            try connection.send(bytes)
        } catch {
            throw Parting.clientGone
        }
        core.statistics.withLock { $0.bytes += bytes.count }
    }

    private func send(_ bytes: [UInt8], on connection: TCPConnection) throws {
        try bytes.withUnsafeBytes { try send($0, on: connection) }
    }

    /// Ends our side and waits until the client has read everything and ends its own, a second at most.
    private func part(_ connection: TCPConnection) {
        connection.shutdownSending()
        connection.setReceiveTimeout(.seconds(1))
        let deadline = ContinuousClock.now + .seconds(1)
        var unwanted = [UInt8](repeating: 0, count: 4096)
        while ContinuousClock.now < deadline, !core.isStopping {
            guard case .bytes = unwanted.withUnsafeMutableBytes({ connection.receive(into: $0) }) else { return }
        }
    }

    /// The cache for an acquisition: the present one if its messages are the same.
    private func cached(_ plan: AcquisitionPlan) throws -> MessageCache {
        var key = plan
        key.frameCount = min(core.source.setup.frameCount, plan.frameCount ?? .max)
        (key.framesPerTrigger, key.triggerStart, key.triggerStop) = (0, 0, 0)
        (key.setsFramesPerTrigger, key.isFreeRun) = (false, false)
        if !core.source.variesByAcquisition { key.id = 0 }
        if let cache, cache.key == key { return cache.messages }
        cache = nil
        let core = core
        guard
            let messages = try MessageCache(
                source: core.source, plan: plan, startedAt: .now, isCancelled: { core.isStopping })
        else { throw Parting.clientGone }
        core.statistics.withLock { $0.saturatedPixels += messages.saturatedPixels }
        cache = (key, messages)
        return messages
    }
}

/// The least time that frames take.
struct FramePace {
    private let period: Duration?
    private var due = ContinuousClock.now
    /// Frames that may be sent at once: those of about a millisecond.
    let batch: Int

    init(microseconds: Double?) {
        guard let microseconds, microseconds > 0 else {
            period = nil
            batch = .max
            return
        }
        period = .nanoseconds(Int(microseconds * 1000))
        batch = max(1, Int(1000 / microseconds))
    }

    /// The first frame's time begins now.
    mutating func restart() {
        due = .now
    }

    /// When the next frames may be sent; nil for at once. Time lost to a reader is not made up for.
    mutating func next(_ frames: Int) -> ContinuousClock.Instant? {
        guard let period else { return nil }
        let now = ContinuousClock.now
        if due < now - .milliseconds(50) { due = now }
        due += period * frames
        return due
    }
}
