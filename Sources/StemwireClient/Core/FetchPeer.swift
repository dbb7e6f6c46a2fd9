import StemwireProtocol

/// The client's side of the work protocol: greeting, credit, one fetch after the other, beats.
///
/// No input or output: messages and times go in, actions come out. One fetch is on the wire at a time, so that a
/// `Failure`, which names no request, can be told to belong to it; the others wait here.
struct FetchPeer: Sendable {
    /// What the server may send ahead of the consumer.
    struct Window: Sendable, Hashable {
        var items = 16
        var bytes = 64 << 20
    }

    enum Action: Sendable {
        case send(WireWorkMessage)
        /// The tile that was just received belongs to this request.
        case deliver(request: UInt64, tile: WireTile)
        case ended(request: UInt64, unavailable: [UnavailableFrames])
        case failed(request: UInt64, FetchError)
    }

    private struct Fetch {
        let request: UInt64
        let acquisition: AcquisitionUUID
        /// What has not come yet.
        var rest: Range<Int>
        let positions: Range<Int>
        var attempts = 0
    }

    private enum Phase: Equatable {
        case disconnected
        case greeting
        case ready
    }

    private let endpoint: ServerEndpoint
    private let client: String
    private let clientID: [UInt8]
    private let patience: Duration
    private var window: Window
    private var phase = Phase.disconnected
    private var epoch: UInt64 = 0
    private var fetches: [Fetch] = []
    /// Credit that the server has and has not used. Bytes fall below zero by a tile larger than all credit.
    private var given = (items: 0, bytes: 0)
    /// Tiles that the consumer has not taken yet.
    private var held = (items: 0, bytes: 0)
    private var lastProgress: ContinuousClock.Instant
    private var beatInterval = Duration.seconds(1)
    private var nextBeat: ContinuousClock.Instant?
    private var actions: [Action] = []
    /// Messages that made no sense.
    private(set) var malformed = 0

    init(
        endpoint: ServerEndpoint, client: String, clientID: [UInt8], window: Window, patience: Duration,
        now: ContinuousClock.Instant
    ) {
        self.endpoint = endpoint
        self.client = client
        self.clientID = clientID
        self.window = window
        self.patience = patience
        lastProgress = now
    }

    var isIdle: Bool { fetches.isEmpty }
    /// Bytes that the consumer has not taken yet.
    var heldBytes: Int { held.bytes }

    var nextDeadline: ContinuousClock.Instant? {
        [nextBeat, isWaiting ? lastProgress + patience : nil].compactMap { $0 }.min()
    }

    /// Whether it is the server's turn: something is asked for, and the consumer keeps nothing back.
    private var isWaiting: Bool { !fetches.isEmpty && held.items == 0 }

    mutating func takeActions() -> [Action] {
        defer { actions.removeAll() }
        return actions
    }

    // MARK: What happens

    /// A connection stands, the first one or one after another.
    mutating func connected(now: ContinuousClock.Instant) {
        phase = .greeting
        greet(now: now)
    }

    mutating func disconnected() {
        phase = .disconnected
        nextBeat = nil
    }

    mutating func fetch(
        request: UInt64, acquisition: AcquisitionUUID, positions: Range<Int>, now: ContinuousClock.Instant
    ) {
        if fetches.isEmpty { lastProgress = now }
        fetches.append(Fetch(request: request, acquisition: acquisition, rest: positions, positions: positions))
        if phase == .ready, fetches.count == 1 { ask() }
    }

    /// The consumer has taken a tile, or dropped it.
    mutating func released(items: Int, bytes: Int, now: ContinuousClock.Instant) {
        held.items -= items
        held.bytes -= bytes
        lastProgress = now
        giveCredit()
    }

    mutating func received(_ message: WireWorkMessage, payloadBytes: Int?, now: ContinuousClock.Instant) {
        switch message.kind {
        case .welcome(let welcome) where phase == .greeting:
            phase = .ready
            // 0 and other extremes from a hostile server must not make a busy loop.
            beatInterval = .milliseconds(min(60_000, max(50, Int64(welcome.beatIntervalMs))))
            nextBeat = now + beatInterval
            lastProgress = now
            if !fetches.isEmpty { ask() }
        case .tile(let fetched):
            receivedTile(fetched, payloadBytes: payloadBytes, now: now)
        case .fetchEnd(let end):
            receivedEnd(end, now: now)
        case .failure(let failure):
            receivedFailure(failure, now: now)
        case .beat, .bye, .welcome:
            break
        case .hello, .credit, .fetch:
            malformed += 1
        default:
            // A kind of a later version, or one for workers.
            break
        }
    }

    mutating func tick(now: ContinuousClock.Instant) {
        if let due = nextBeat, due <= now {
            nextBeat = now + beatInterval
            var message = WireWorkMessage()
            message.beat = WireBeat()
            actions.append(.send(message))
        }
        if isWaiting, now - lastProgress >= patience {
            failAll(.noProgress(endpoint, after: patience))
        }
    }

    /// Tells the server that no more is wanted, and fails what is under way.
    mutating func close() {
        if phase != .disconnected {
            var message = WireWorkMessage()
            message.bye.reason = "done"
            actions.append(.send(message))
        }
        failAll(.closed)
        disconnected()
    }

    mutating func failAll(_ error: FetchError) {
        for fetch in fetches { actions.append(.failed(request: fetch.request, error)) }
        fetches.removeAll()
    }

    // MARK: Details

    private mutating func greet(now: ContinuousClock.Instant) {
        epoch += 1
        given = (max(0, window.items - held.items), max(0, window.bytes - held.bytes))
        lastProgress = now
        var message = WireWorkMessage()
        message.hello.versionMin = ProtocolVersion.current
        message.hello.versionMax = ProtocolVersion.current
        message.hello.client = client
        message.hello.clientID = .init(clientID)
        message.hello.epoch = epoch
        message.hello.credit.items = UInt32(clamping: given.items)
        message.hello.credit.bytes = UInt64(given.bytes)
        actions.append(.send(message))
    }

    private mutating func ask() {
        guard let fetch = fetches.first else { return }
        var message = WireWorkMessage()
        message.fetch.request = fetch.request
        message.fetch.acquisition = .init(fetch.acquisition.bytes)
        message.fetch.first = UInt64(fetch.rest.lowerBound)
        message.fetch.count = UInt64(fetch.rest.count)
        actions.append(.send(message))
    }

    private mutating func receivedTile(
        _ fetched: WireFetchedTile, payloadBytes: Int?, now: ContinuousClock.Instant
    ) {
        guard let payloadBytes, let fetch = fetches.first, fetched.request == fetch.request,
            Array(fetched.tile.acquisition) == fetch.acquisition.bytes,
            fetched.tile.firstPosition >= UInt64(fetch.rest.lowerBound),
            fetched.tile.firstPosition < UInt64(fetch.rest.upperBound),
            UInt64(fetched.tile.count) <= UInt64(fetch.rest.upperBound) - fetched.tile.firstPosition
        else {
            malformed += 1
            // Whatever it was, the server has counted it.
            given.items -= 1
            given.bytes -= payloadBytes ?? 0
            giveCredit()
            return
        }
        fetches[0].rest = Int(fetched.tile.firstPosition) + Int(fetched.tile.count)..<fetch.rest.upperBound
        given.items -= 1
        given.bytes -= payloadBytes
        held.items += 1
        held.bytes += payloadBytes
        // A tile larger than the window comes alone; with a larger window the next one need not.
        window.bytes = max(window.bytes, min(2 * payloadBytes, WireLimits.payloadBytes))
        lastProgress = now
        actions.append(.deliver(request: fetch.request, tile: fetched.tile))
        giveCredit()
    }

    private mutating func receivedEnd(_ end: WireFetchEnd, now: ContinuousClock.Instant) {
        guard let fetch = fetches.first, end.request == fetch.request else {
            malformed += 1
            return
        }
        var unavailable: [UnavailableFrames] = []
        for item in end.unavailable {
            guard let range = try? WireReading.positions(first: item.range.first, count: item.range.count) else {
                malformed += 1
                continue
            }
            let part = range.clamped(to: fetch.positions)
            if part.isEmpty { continue }
            unavailable.append(
                UnavailableFrames(acquisition: fetch.acquisition, positions: part, reason: .init(item.reason)))
        }
        fetches.removeFirst()
        lastProgress = now
        actions.append(.ended(request: fetch.request, unavailable: unavailable))
        ask()
    }

    private mutating func receivedFailure(_ failure: WireFailure, now: ContinuousClock.Instant) {
        let error = FetchError.refused(ControlFailure(failure))
        guard phase == .ready else { return failAll(error) }
        // A server that was started anew, or has forgotten a peer that was silent, wants to be greeted first.
        if failure.code == ControlFailure.Code.wrongState.rawValue, fetches.first.map({ $0.attempts < 2 }) ?? true {
            if !fetches.isEmpty { fetches[0].attempts += 1 }
            phase = .greeting
            greet(now: now)
            return
        }
        guard let fetch = fetches.first else { return }
        fetches.removeFirst()
        actions.append(.failed(request: fetch.request, error))
        lastProgress = now
        ask()
    }

    /// Tops up the credit, in portions of a fair part of the window.
    private mutating func giveCredit() {
        guard phase != .disconnected else { return }
        let items = window.items - given.items - held.items
        let bytes = window.bytes - given.bytes - held.bytes
        // With nothing kept back the server gets all, so that a tile as large as the window never waits for ever.
        guard held.items == 0 || items * 4 >= window.items || bytes * 4 >= window.bytes else { return }
        let credit = (items: max(0, items), bytes: max(0, bytes))
        guard credit.items > 0 || credit.bytes > 0 else { return }
        given.items += credit.items
        given.bytes += credit.bytes
        var message = WireWorkMessage()
        message.credit.items = UInt32(clamping: credit.items)
        message.credit.bytes = UInt64(credit.bytes)
        actions.append(.send(message))
    }
}
