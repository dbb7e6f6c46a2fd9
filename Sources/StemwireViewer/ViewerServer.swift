import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket
import StemwireSystem

/// Serves the viewer: one page, a WebSocket with credit, and channels as files, fed by an acquisition server.
///
/// `start()`, then `stop()`, each once, from any task. The acquisition server need not be there yet, and may go and come
/// back: pages are told.
///
/// ```swift
/// let viewer = try ViewerServer(ViewerConfiguration(serverEndpoint: "tcp://127.0.0.1:7400"))
/// let port = try await viewer.start()
/// print("http://127.0.0.1:\(port)")
/// ```
public final class ViewerServer: Sendable {
    public let configuration: ViewerConfiguration
    private let logger: Logger
    private let running = Locked<Running?>(nil)
    private let wasStarted = Locked(false)

    private struct Running: Sendable {
        let group: MultiThreadedEventLoopGroup
        let feed: Feed
        let following: Task<Void, Never>
        let serving: Task<Void, Never>
    }

    /// - Throws: ``ViewerError`` for settings that cannot be.
    public init(
        _ configuration: ViewerConfiguration, logger: Logger = Logger(label: "stemwire.viewer")
    ) throws(ViewerError) {
        guard (0...65535).contains(configuration.port) else {
            throw .badSetting("port", "\(configuration.port) is not a port number (0 to 65535)")
        }
        guard
            configuration.allowsInsecure || configuration.guests != nil
                || AccessRules.isLoopback(configuration.bindHost)
        else {
            throw .badSetting(
                "bind",
                "\(configuration.bindHost) can be reached from other machines, and whoever comes could "
                    + "\(configuration.role == .operate ? "control the detector" : "watch"); "
                    + "let those in who have a token (`stemwire keygen`, `stemwire enrol --web`, --keys), or allow "
                    + "that explicitly with --insecure, in a network that you trust")
        }
        if configuration.guests != nil, !AccessRules.isLoopback(configuration.bindHost) {
            logger.warning(
                "HTTP is not encrypted: who listens on the way reads tokens; put a proxy with TLS in front of the page",
                metadata: ["address": "\(configuration.bindHost)"])
        }
        self.configuration = configuration
        self.logger = logger
    }

    /// Begins to listen, and to connect to the acquisition server. Returns as soon as pages can be opened.
    ///
    /// - Returns: the port.
    /// - Throws: ``ViewerError``; nothing is left open then.
    public func start() async throws(ViewerError) -> Int {
        guard wasStarted.withLock({ was in !swap(&was, true) }) else { throw .alreadyStarted }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let feed = Feed(endpoint: configuration.serverEndpoint, token: configuration.token, logger: logger)
        let connections = Connections(
            feed: feed,
            rules: AccessRules(
                acceptsAnyHost: !AccessRules.isLoopback(configuration.bindHost), origins: configuration.allowedOrigins),
            access: PageAccess(guests: configuration.guests, looksOnly: configuration.role == .look),
            maximumPages: configuration.maximumPages,
            texts: configuration.texts, logger: logger)
        do {
            let listener = try await connections.listen(
                host: configuration.bindHost, port: configuration.port, group: group)
            let port = listener.channel.localAddress?.port ?? configuration.port
            running.value = Running(
                group: group, feed: feed, following: Task { await feed.run() },
                serving: Task { await connections.serve(listener) })
            return port
        } catch {
            try? await group.shutdownGracefully()
            throw .cannotListen(host: configuration.bindHost, port: configuration.port, why: "\(error)")
        }
    }

    /// Closes all connections and takes back what pages had the server compute. Stopping twice does nothing.
    public func stop() async {
        guard let running = running.withLock({ running in swap(&running, nil) }) else { return }
        running.serving.cancel()
        await running.serving.value
        await running.feed.withdraw()
        running.following.cancel()
        await running.following.value
        try? await running.group.shutdownGracefully()
    }
}

/// Puts another value in place.
///
/// - Returns: the former one.
private func swap<Value>(_ value: inout Value, _ new: Value) -> Value {
    defer { value = new }
    return value
}
