import Logging
import NIOCore
import NIOWebSocket
import StemwireClient
import StemwireSystem

/// Serves one page over its WebSocket, from the first message to the last.
struct PageConnection: Sendable {
    private typealias Writer = NIOAsyncChannelOutboundWriter<WebSocketFrame>

    private typealias Messages = NIOAsyncChannelInboundStream<WebSocketFrame>.AsyncIterator

    /// How long a page may take to say who it is.
    private static let tokenLimit = TimeAmount.seconds(10)
    /// Tells a page that it is not let in, so that it asks for a token instead of trying again.
    static let needsToken = WebSocketErrorCode(codeNumber: 4401)

    let feed: Feed
    let access: PageAccess
    let counters: ViewerCounters
    let logger: Logger

    /// - Parameter authorization: the headers by which a program has said who it is already.
    func serve(_ socket: Connections.Socket, authorization: [String]) async throws {
        try await socket.executeThenClose { inbound, outbound in
            var messages = inbound.makeAsyncIterator()
            let visitor: PageAccess.Visitor
            do {
                visitor = try await admit(authorization, &messages, socket.channel)
            } catch let refusal as PageAccess.Refusal {
                counters.refused.wrappingAdd(1, ordering: .relaxed)
                logger.notice("a page was not let in: \(refusal)")
                return try await close(outbound, Self.needsToken, refusal.description)
            }
            let session = Locked(ViewerSession(access.permission(visitor, at: nil)))
            let (page, changes) = feed.addPage()
            defer { feed.removePage(page) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                // What ends, ends the others: without the channel there is nothing more to read.
                group.addTask {
                    defer { socket.channel.close(promise: nil) }
                    try await write(session, outbound, changes, page)
                }
                group.addTask {
                    defer { socket.channel.close(promise: nil) }
                    try await keepTime(session, visitor, outbound, page)
                }
                try await read(session, &messages, outbound, page)
            }
        }
    }

    /// Waits for the page's token, where one is needed.
    private func admit(
        _ authorization: [String], _ messages: inout Messages, _ channel: any Channel
    ) async throws -> PageAccess.Visitor {
        if !access.asks || !authorization.isEmpty { return try access.admit(authorization: authorization) }
        let tooLate = channel.eventLoop.scheduleTask(in: Self.tokenLimit) { channel.close(promise: nil) }
        defer { tooLate.cancel() }
        guard let frame = try await messages.next(), frame.opcode == .text,
            case .token(let token)? = try? ViewerRequest(frame.unmaskedData.readableBytesView)
        else { throw PageAccess.Refusal.noToken }
        return try access.admit(token: token)
    }

    /// Closes the WebSocket of a page that may not connect, and says why.
    func refuse(_ socket: Connections.Socket, _ why: String) async throws {
        logger.notice("a page was refused: \(why)")
        try await socket.executeThenClose { _, outbound in try await close(outbound, .policyViolation, why) }
    }

    // MARK: From the page

    private func read(
        _ session: Locked<ViewerSession>, _ messages: inout Messages, _ outbound: Writer, _ page: Int
    ) async throws {
        while let frame = try await messages.next() {
            switch frame.opcode {
            case .text:
                do throws(ViewerRequestError) {
                    try take(session, try ViewerRequest(frame.unmaskedData.readableBytesView), page)
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

    private func take(
        _ session: Locked<ViewerSession>, _ request: ViewerRequest, _ page: Int
    ) throws(ViewerRequestError) {
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
                perform(session, number, page) { feed throws(ControlFailure) in try await feed.command(command) }
            case .history(let number, let wish):
                perform(session, number, page) { feed throws(ControlFailure) in try await feed.history(wish) }
            case .fetch: break
            }
        }
        feed.wake(page)
    }

    private func perform(
        _ session: Locked<ViewerSession>, _ number: Int, _ page: Int,
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

    private func write(
        _ session: Locked<ViewerSession>, _ outbound: Writer, _ changes: AsyncStream<Void>, _ page: Int
    ) async throws {
        var skipped: UInt64 = 0
        for await _ in changes {
            let (live, detectors, pages) = feed.now
            let (fetch, message) = session.withLock { session in
                (
                    session.takeFetch(live, now: .now),
                    session.compose(live, detectors: detectors, now: .now)
                )
            }
            if case .fetch(let position)? = fetch { self.fetch(session, position, page) }
            guard let message else { continue }
            counters.messages.wrappingAdd(1, ordering: .relaxed)
            counters.skipped.wrappingAdd(message.skipped - skipped, ordering: .relaxed)
            skipped = message.skipped
            let bytes = message.bytes(live, detectors: detectors, pages: pages, now: .now)
            // Returns when the socket can take more: until then nothing else is made for this page.
            try await outbound.write(WebSocketFrame(fin: true, opcode: .binary, data: ByteBuffer(bytes: bytes)))
        }
    }

    private func fetch(_ session: Locked<ViewerSession>, _ position: Int, _ page: Int) {
        Task {
            let result = await feed.frame(at: position)
            session.withLock { $0.fetched(result, now: .now) }
            feed.wake(page)
        }
    }

    /// Wakes the page where time alone makes something due; ends it when its token is let in no more.
    private func keepTime(
        _ session: Locked<ViewerSession>, _ visitor: PageAccess.Visitor, _ outbound: Writer, _ page: Int
    ) async throws {
        while true {
            try await Task.sleep(for: .milliseconds(250))
            guard let visitor = access.stays(visitor) else {
                logger.notice("a page's token was revoked", metadata: ["page": "\(visitor.guest?.name ?? "")"])
                return try await close(outbound, Self.needsToken, "this token was revoked")
            }
            session.withLock { $0.permission = access.permission(visitor, at: nil) }
            if let due = session.withLock({ $0.nextDeadline }), due <= .now { feed.wake(page) }
        }
    }
}
