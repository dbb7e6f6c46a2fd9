import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// Accepts connections and speaks HTTP on them, or WebSocket once a page has asked for that.
struct Connections: Sendable {
    typealias Web = NIOAsyncChannel<HTTPServerRequestPart, HTTPPart<HTTPResponseHead, ByteBuffer>>
    typealias Socket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>
    typealias Listener = NIOAsyncChannel<EventLoopFuture<Accepted>, Never>

    /// What became of a connection.
    enum Accepted: Sendable {
        case web(Web)
        /// A page's WebSocket, and why it is to be closed again, if it is.
        case page(Socket, refusal: String?, authorization: [String])
    }

    /// How long a connection may be silent before it has become a WebSocket, or between requests.
    private static let idleLimit = TimeAmount.seconds(30)
    static let socketPath = "/live"

    let feed: Feed
    let rules: AccessRules
    let access: PageAccess
    let counters = ViewerCounters()
    let maximumPages: Int
    let texts: [String: OperatorPage]
    let logger: Logger

    func listen(host: String, port: Int, group: MultiThreadedEventLoopGroup) async throws -> Listener {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 64)
            // Without it the last part of a message waits for the acknowledgement of the part before, 40 ms and more.
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .bind(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try prepare(channel) }
            }
    }

    private func prepare(_ channel: any Channel) throws -> EventLoopFuture<Accepted> {
        let pipeline = channel.pipeline.syncOperations
        let idle = IdleStateHandler(readTimeout: Self.idleLimit)
        let closer = IdleCloser()
        try pipeline.addHandlers(idle, closer)
        let watch = NIOLoopBound((idle: idle, closer: closer), eventLoop: channel.eventLoop)
        let upgrader = NIOTypedWebSocketServerUpgrader<Accepted>(
            maxFrameSize: ViewerRequest.maximumBytes,
            shouldUpgrade: { channel, head in
                let path = head.uri.split(separator: "?", omittingEmptySubsequences: false).first
                return channel.eventLoop.makeSucceededFuture(path == Self.socketPath[...] ? HTTPHeaders() : nil)
            },
            upgradePipelineHandler: { channel, head in
                channel.eventLoop.makeCompletedFuture {
                    // A page in the background may be silent for long.
                    let pipeline = channel.pipeline.syncOperations
                    _ = pipeline.removeHandler(watch.value.idle)
                    _ = pipeline.removeHandler(watch.value.closer)
                    try pipeline.addHandler(
                        NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 1, maxAccumulatedFrameCount: 16,
                            maxAccumulatedFrameSize: ViewerRequest.maximumBytes))
                    return Accepted.page(
                        try Socket(wrappingChannelSynchronously: channel), refusal: refusal(head),
                        authorization: head.headers["authorization"])
                }
            })
        var upgrade = NIOUpgradableHTTPServerPipelineConfiguration(
            upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration(
                upgraders: [upgrader],
                notUpgradingCompletionHandler: { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ByteBufferResponses())
                        return Accepted.web(try Web(wrappingChannelSynchronously: channel))
                    }
                }))
        upgrade.enablePipelining = true
        let accepted = try pipeline.configureUpgradableHTTPServerPipeline(configuration: upgrade)
        try pipeline.addHandler(ErrorCloser())
        return accepted
    }

    /// Why a page may not connect. It is told by closing the WebSocket that it asked for: a page does not get to see
    /// the answer to a request that fails.
    private func refusal(_ head: HTTPRequestHead) -> String? {
        let hosts = head.headers["host"]
        guard rules.allows(host: hosts), rules.allows(origin: head.headers["origin"], host: hosts.first ?? "") else {
            return "pages of \(head.headers.first(name: "origin") ?? "this name") may not connect"
        }
        return feed.pages < maximumPages ? nil : "the viewer has \(maximumPages) pages already"
    }

    /// Serves until the task is cancelled, and leaves no connection open.
    func serve(_ listener: Listener) async {
        do {
            try await withThrowingDiscardingTaskGroup { group in
                try await listener.executeThenClose { inbound in
                    for try await accepted in inbound {
                        group.addTask { await serve(accepted) }
                    }
                }
                group.cancelAll()
            }
        } catch {
            if !Task.isCancelled { logger.error("the viewer has stopped to listen: \(error)") }
        }
    }

    private func serve(_ accepted: EventLoopFuture<Accepted>) async {
        // Whatever is wrong with one connection, the others go on.
        do {
            switch try await accepted.get() {
            case .web(let web): try await serve(web)
            case .page(let socket, let refusal, let authorization):
                let page = PageConnection(feed: feed, access: access, counters: counters, logger: logger)
                if let refusal {
                    try await page.refuse(socket, refusal)
                } else {
                    try await page.serve(socket, authorization: authorization)
                }
            }
        } catch {
            logger.debug("a viewer's connection ended: \(error)")
        }
    }

    private func serve(_ web: Web) async throws {
        let routes = HTTPRoutes(
            feed: feed, rules: rules, access: access, counters: counters, texts: texts, maximumPages: maximumPages)
        try await web.executeThenClose { inbound, outbound in
            var head: HTTPRequestHead?
            for try await part in inbound {
                switch part {
                case .head(let new): head = new
                case .body:
                    return try await send(
                        HTTPAnswer(.payloadTooLarge, "no request here has a body"), to: nil, routes, outbound)
                case .end:
                    guard let request = head else { return }
                    head = nil
                    switch routes.reply(request) {
                    case .answer(let answer): try await send(answer, to: request, routes, outbound)
                    case .moving(let picture, let visitor):
                        return try await send(picture, to: visitor, routes, web.channel, outbound)
                    }
                    if !request.isKeepAlive { return }
                }
            }
        }
    }

    private func send(
        _ answer: HTTPAnswer, to request: HTTPRequestHead?, _ routes: HTTPRoutes,
        _ outbound: NIOAsyncChannelOutboundWriter<HTTPPart<HTTPResponseHead, ByteBuffer>>
    ) async throws {
        var headers = routes.headers(mediaType: answer.mediaType, bytes: answer.bytes.count)
        for (name, value) in answer.headers { headers.add(name: name, value: value) }
        if request?.isKeepAlive != true { headers.add(name: "connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
        let body =
            request?.method == .HEAD ? [] : [HTTPPart<HTTPResponseHead, ByteBuffer>.body(.init(bytes: answer.bytes))]
        try await outbound.write(contentsOf: [.head(head)] + body + [.end(nil)])
    }
}

extension Connections {
    /// How long a picture may be on its way to one who reads slowly.
    private static let writeLimit = TimeAmount.seconds(60)

    fileprivate func send(
        _ picture: MovingPicture, to visitor: PageAccess.Visitor, _ routes: HTTPRoutes, _ channel: any Channel,
        _ outbound: MovingPicture.Outbound
    ) async throws {
        // Who looks on says nothing more; who does not take what is sent is let go.
        try await channel.eventLoop.submit {
            let pipeline = channel.pipeline.syncOperations
            for context in [
                try pipeline.context(handlerType: IdleStateHandler.self),
                try pipeline.context(handlerType: IdleCloser.self),
            ] {
                pipeline.removeHandler(context: context, promise: nil)
            }
            try pipeline.addHandlers(
                IdleStateHandler(writeTimeout: Self.writeLimit), IdleCloser(), position: .first)
        }.get()
        var headers = routes.headers(mediaType: MovingPicture.mediaType, bytes: nil)
        headers.add(name: "connection", value: "close")
        try await outbound.write(.head(HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)))
        try await picture.send(to: outbound, of: channel) { access.stays(visitor) != nil }
    }
}

/// Closes a connection on which nothing has come for too long.
private final class IdleCloser: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}

/// Closes a connection on which something came that is no HTTP, or too much of it.
private final class ErrorCloser: ChannelInboundHandler {
    typealias InboundIn = Any

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.fireErrorCaught(error)
        context.close(promise: nil)
    }
}

/// Lets bodies be written as plain buffers.
private final class ByteBufferResponses: ChannelOutboundHandler {
    typealias OutboundIn = HTTPPart<HTTPResponseHead, ByteBuffer>
    typealias OutboundOut = HTTPServerResponsePart

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let part: HTTPServerResponsePart =
            switch Self.unwrapOutboundIn(data) {
            case .head(let head): .head(head)
            case .body(let buffer): .body(.byteBuffer(buffer))
            case .end(let trailers): .end(trailers)
            }
        context.write(Self.wrapOutboundOut(part), promise: promise)
    }
}
