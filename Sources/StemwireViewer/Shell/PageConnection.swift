import Logging
import NIOCore
import NIOWebSocket
import StemwireClient
import StemwireSystem

/// Serves one page over its WebSocket, from the first message to the last.
struct PageConnection: Sendable {
    private typealias Writer = NIOAsyncChannelOutboundWriter<WebSocketFrame>

    let feed: Feed
    let logger: Logger
    private let session: Locked<ViewerSession>

    init(feed: Feed, mayControl: Bool, logger: Logger) {
        self.feed = feed
        self.logger = logger
        session = Locked(ViewerSession(mayControl: mayControl))
    }

    func serve(_ socket: Connections.Socket) async throws {
        let (page, changes) = feed.addPage()
        defer { feed.removePage(page) }
        try await socket.executeThenClose { inbound, outbound in
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask { try await read(inbound, outbound, page) }
                group.addTask { try await write(outbound, changes, page) }
                group.addTask { try await keepTime(page) }
                try await group.next()
            }
        }
    }

    /// Closes the WebSocket of a page that may not connect, and says why.
    func refuse(_ socket: Connections.Socket, _ why: String) async throws {
        logger.notice("a page was refused: \(why)")
        try await socket.executeThenClose { _, outbound in try await close(outbound, .policyViolation, why) }
    }

    // MARK: From the page

    private func read(
        _ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ outbound: Writer, _ page: Int
    ) async throws {
        for try await frame in inbound {
            switch frame.opcode {
            case .text:
                do throws(ViewerRequestError) {
                    try take(try ViewerRequest(frame.unmaskedData.readableBytesView), page)
                } catch {
                    logger.info("a page sent something that cannot be: \(error)")
                    return try await close(outbound, .policyViolation, error.description)
                }
            case .ping:
                try await outbound.write(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
            case .connectionClose: return try await close(outbound, .normalClosure, "")
            case .pong: break
            default: return try await close(outbound, .unacceptableData, "only text is understood here")
            }
        }
    }

    private func close(_ outbound: Writer, _ code: WebSocketErrorCode, _ why: String) async throws {
        var data = ByteBuffer()
        data.write(webSocketErrorCode: code)
        // A control frame has 125 bytes at most.
        data.writeBytes(why.utf8.prefix(100))
        try await outbound.write(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
    }

    private func take(_ request: ViewerRequest, _ page: Int) throws(ViewerRequestError) {
        for action in session.withLock({ $0.take(request) }) {
            switch action {
            case .detector(let detector):
                do throws(ViewerRequestError) {
                    try feed.want(detector, page: page)
                } catch {
                    session.withLock { $0.answer(.init(number: -1, isDone: false, text: error.description)) }
                }
            case .dropDetector(let id): feed.drop(id, page: page)
            case .command(let number, let command):
                perform(number, page) { feed throws(ControlFailure) in try await feed.command(command) }
            case .history(let number, let wish):
                perform(number, page) { feed throws(ControlFailure) in try await feed.history(wish) }
            case .fetch: break
            }
        }
        feed.wake(page)
    }

    private func perform(
        _ number: Int, _ page: Int,
        _ ask: @escaping @Sendable (Feed) async throws(ControlFailure) -> Feed.CommandAnswer
    ) {
        Task {
            let answer: ViewerSession.Answer
            do throws(ControlFailure) {
                let done = try await ask(feed)
                answer = .init(
                    number: number, isDone: true, text: done.text, values: done.values, report: done.report)
            } catch {
                answer = .init(number: number, isDone: false, text: error.message)
            }
            session.withLock { $0.answer(answer) }
            feed.wake(page)
        }
    }

    // MARK: To the page

    private func write(_ outbound: Writer, _ changes: AsyncStream<Void>, _ page: Int) async throws {
        for await _ in changes {
            let (live, detectors, pages) = feed.now
            let (fetch, message) = session.withLock { session in
                (
                    session.takeFetch(live, now: .now),
                    session.compose(live, detectors: detectors, now: .now)
                )
            }
            if case .fetch(let position)? = fetch { self.fetch(position, page) }
            guard let message else { continue }
            let bytes = message.bytes(live, detectors: detectors, pages: pages, now: .now)
            // Returns when the socket can take more: until then nothing else is made for this page.
            try await outbound.write(WebSocketFrame(fin: true, opcode: .binary, data: ByteBuffer(bytes: bytes)))
        }
    }

    private func fetch(_ position: Int, _ page: Int) {
        Task {
            let result = await feed.frame(at: position)
            session.withLock { $0.fetched(result, now: .now) }
            feed.wake(page)
        }
    }

    /// Wakes the page where time alone makes something due.
    private func keepTime(_ page: Int) async throws {
        while true {
            try await Task.sleep(for: .milliseconds(250))
            if let due = session.withLock({ $0.nextDeadline }), due <= .now { feed.wake(page) }
        }
    }
}
