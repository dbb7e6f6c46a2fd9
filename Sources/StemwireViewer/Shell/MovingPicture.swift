import NIOCore
import NIOHTTP1
import StemwireClient
import StemwireSystem

/// A channel as JPEG pictures that take one another's place (`multipart/x-mixed-replace`): for `<img>`, players and wall
/// displays.
///
/// State, not a queue: the next picture is made when the one before has gone out.
struct MovingPicture: Sendable {
    typealias Outbound = NIOAsyncChannelOutboundWriter<HTTPPart<HTTPResponseHead, ByteBuffer>>

    private static let boundary = "picture"
    static let mediaType = "multipart/x-mixed-replace; boundary=\(boundary)"
    private static let rates = 1.0...30.0
    /// A picture that has not changed is sent again after this time: players give up what is silent.
    private static let repetition = Duration.seconds(5)

    private let feed: Feed
    private let path: String
    private let picture: ServedPicture
    private let interval: Duration

    /// - Parameter query: of ``ServedPicture``, and `fps=N`.
    /// - Throws: ``ViewerRequestError`` naming what was wrong.
    init(feed: Feed, path: Substring, query: [(name: Substring, value: Substring)]) throws(ViewerRequestError) {
        guard !path.isEmpty else { throw ViewerRequestError("which channel? Such as /mjpeg/sumsig") }
        var rate = 10.0
        if let wanted = query.last(where: { $0.name == "fps" })?.value {
            guard let given = Double(wanted), Self.rates.contains(given) else {
                throw ViewerRequestError("fps is a number from 1 to \(Int(Self.rates.upperBound))")
            }
            rate = given
        }
        self.feed = feed
        self.path = String(path)
        picture = try ServedPicture(query: query.filter { $0.name != "fps" })
        interval = .seconds(1) / rate
    }

    /// Sends pictures until the reader has gone. A channel that is not there yet is waited for.
    func send(
        to outbound: Outbound, of channel: any Channel, while isLetIn: @Sendable () -> Bool
    ) async throws {
        let (page, changes) = feed.addPage()
        defer { feed.removePage(page) }
        channel.closeFuture.whenComplete { [feed] _ in feed.removePage(page) }
        var last: (version: UInt64, at: ContinuousClock.Instant)?
        feed.wake(page)
        for await _ in changes {
            if let last { try await Task.sleep(until: last.at + interval, clock: .continuous) }
            guard isLetIn() else { return }
            let live = feed.now.live
            guard let name = SnapName.channel(path[...], in: live.channels.keys), let channel = live.channels[name],
                channel.version != last?.version || last.map({ .now - $0.at >= Self.repetition }) == true,
                let file = channel.pictures.jpeg(of: channel.content, picture)
            else { continue }
            var part = ByteBuffer(string: "--\(Self.boundary)\r\nContent-Type: image/jpeg\r\n")
            part.writeString("Content-Length: \(file.count)\r\n\r\n")
            part.writeBytes(file)
            part.writeString("\r\n")
            last = (channel.version, .now)
            // Returns when the socket can take more.
            try await outbound.write(.body(part))
        }
    }
}

/// Keeps the last picture of a channel's state, for all who want the same. Any thread.
final class PictureCache: Sendable {
    private let last = Locked<(picture: ServedPicture, file: [UInt8])?>(nil)

    func jpeg(of content: some ChannelContent, _ picture: ServedPicture) -> [UInt8]? {
        last.withLock { last in
            if let last, last.picture == picture { return last.file }
            let made = ChannelFile.jpg.encode(content, picture: picture)
            last = made.map { (picture, $0) }
            return made
        }
    }
}
