import StemwireClient
import StemwireKernels
import Testing

@testable import StemwireViewer

@Suite("What pages and programs are given") struct SmallCoresTests {
    @Test func coverageTellsWhatBecameOfEachPosition() {
        func map(_ mask: [UInt8], _ positions: Int, _ missing: [Range<Int>] = [], isOver: Bool = false) -> [UInt8] {
            map(mask, positions, Coverage.Account(missing: missing, isOver: isOver))
        }
        func map(_ mask: [UInt8], _ positions: Int, _ account: Coverage.Account) -> [UInt8] {
            mask.withUnsafeBytes { Coverage.map(mask: $0, positions: positions, account: account) }
        }
        #expect(map([0], 4) == [0, 0, 0, 0])
        #expect(map([0b0110], 6) == [3, 1, 1, 0, 0, 0])
        #expect(map([0b0110], 6, [3..<5], isOver: true) == [3, 1, 1, 2, 2, 3])
        // A mask and ranges that are longer or shorter than the scan.
        #expect(map([0xFF, 0xFF], 3, [1..<99], isOver: true) == [1, 1, 1])
        #expect(map([], 3, [0..<1], isOver: true) == [2, 3, 3])
        let account = Coverage.Account(
            missing: [0..<1], rejected: [1..<2], duplicate: [2..<5], isOver: true, hasFailures: true)
        // What is in the result is no less so for having come twice; what is not has no duplicate to show.
        #expect(map([0b0001_1000], 7, account) == [2, 4, 5, 6, 6, 5, 5])
    }

    @Test func numbersReachThePageAsTheyAre() {
        func array<Element>(_ dtype: DType, _ values: [Element]) -> PageArray {
            var channel = TestChannel()
            channel.dtype = dtype
            channel.data = values.withUnsafeBytes { Array($0) }
            return channel.pageArray()
        }
        func bytes<Element>(_ values: [Element]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }
        #expect(
            array(.uint16, [1, 65535] as [UInt16]) == PageArray(dtype: "uint16", bytes: bytes([1, 65535] as [UInt16])))
        #expect(
            array(.uint64, [0, 4_294_967_295] as [UInt64])
                == PageArray(dtype: "uint32", bytes: bytes([0, 4_294_967_295] as [UInt32])))
        #expect(
            array(.uint64, [1, 1 << 40] as [UInt64])
                == PageArray(dtype: "float64", bytes: bytes([1, 1_099_511_627_776.0])))
        #expect(array(.int64, [-3] as [Int64]) == PageArray(dtype: "float64", bytes: bytes([-3.0])))
        #expect(array(.complex64, [3, 4] as [Float]) == PageArray(dtype: "float64", bytes: bytes([5.0])))
        #expect(array(.float32, [0.5] as [Float]) == PageArray(dtype: "float32", bytes: bytes([0.5] as [Float])))
        #expect(array(.uint64, [7] as [UInt64]).floats() == [7])
    }

    @Test func onlyOwnPagesMayConnect() {
        let own = AccessRules(acceptsAnyHost: false, origins: ["https://hub.example.org"])
        #expect(
            own.allows(host: ["127.0.0.1:7480"]) && own.allows(host: ["LOCALHOST:9"]) && own.allows(host: ["[::1]:1"]))
        #expect(own.allows(host: ["hub.example.org"]))
        #expect(!own.allows(host: ["evil.example.org"]) && !own.allows(host: ["127.0.0.1.evil.org"]))
        #expect(!own.allows(host: []) && !own.allows(host: ["localhost", "localhost"]))
        #expect(own.allows(origin: [], host: "127.0.0.1:7480"))
        #expect(own.allows(origin: ["http://127.0.0.1:7480"], host: "127.0.0.1:7480"))
        #expect(!own.allows(origin: ["http://127.0.0.1:7481"], host: "127.0.0.1:7480"))
        #expect(!own.allows(origin: ["https://evil.example.org"], host: "127.0.0.1:7480"))
        #expect(!own.allows(origin: ["null"], host: "127.0.0.1:7480"))
        #expect(own.allows(origin: ["https://hub.example.org"], host: "127.0.0.1:7480"))
        let open = AccessRules(acceptsAnyHost: true, origins: [])
        #expect(open.allows(host: ["merlin-server:7480"]))
        #expect(open.allows(origin: ["http://merlin-server:7480"], host: "merlin-server:7480"))
        #expect(!open.allows(origin: ["http://evil.org"], host: "merlin-server:7480"))
    }

    @Test func channelsAreFoundByTheirNames() {
        let names = [
            ("default", "sum", "intensity"), ("default", "com", "field_x"), ("b", "sum", "intensity"),
            ("b", "a.b", "c"),
        ]
        .map { ChannelName(run: $0.0, udf: $0.1, channel: $0.2) }
        #expect(SnapName.find("default/sum.intensity.npy", in: names)! == (names[0], .npy))
        #expect(SnapName.find("com.field_x.png", in: names)! == (names[1], .png))
        #expect(SnapName.find("com.tiff", in: names)! == (names[1], .tiff))
        #expect(SnapName.find("b/sum.npy", in: names)! == (names[2], .npy))
        #expect(SnapName.find("a.b.c.npy", in: names)! == (names[3], .npy))
        for path in ["sum.gif", "sum", "", ".npy", "other.npy", "../sum.npy"] {
            #expect(SnapName.find(path[...], in: names) == nil)
        }
    }

    @Test func filesAreWhatTheirFormatsSay() throws {
        var channel = TestChannel()
        channel.data = (0..<6).map { UInt64($0) }.withUnsafeBytes { Array($0) }
        let npy = try #require(ChannelFile.npy.encode(channel))
        #expect(npy.starts(with: [0x93] + Array("NUMPY".utf8)) && npy.suffix(48).elementsEqual(channel.data))
        let tiff = try #require(ChannelFile.tiff.encode(channel))
        #expect(tiff.starts(with: Array("II*".utf8) + [0, 8, 0, 0, 0, 10, 0]))
        #expect(tiff.suffix(24).elementsEqual((0..<6).map { Float($0) }.withUnsafeBytes { Array($0) }))
        for colours in ColourTables.names {
            let png = try #require(
                ChannelFile.png.encode(channel, picture: ServedPicture(style: PictureStyle(colours: colours))))
            #expect(png.starts(with: [0x89] + Array("PNG".utf8)))
        }
        #expect(ChannelFile.png.encode(channel, picture: ServedPicture(style: PictureStyle(colours: "pink"))) == nil)
        let jpeg = try #require(ChannelFile.jpg.encode(channel, picture: ServedPicture(zoom: 5)))
        #expect(jpeg.starts(with: [0xFF, 0xD8]) && jpeg.suffix(2).elementsEqual([0xFF, 0xD9]))
        // Start of frame: length, precision, height, width.
        let frame = try #require(jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
        #expect(jpeg[(frame + 5)...(frame + 8)].elementsEqual([0, 10, 0, 15]))
        channel.shape = [1, 6]
        #expect(ChannelFile.jpg.encode(channel, picture: ServedPicture(zoom: 16)) != nil)
        #expect(ChannelFile.jpg.encode(channel, picture: ServedPicture(zoom: 20_000)) == nil)
        channel.shape = [2, 3, 1]
        #expect(ChannelFile.tiff.encode(channel) == nil)
        #expect(ChannelFile.png.encode(channel) == nil)
    }

    @Test func pastAcquisitionsAreKeptAsFarAsThereIsRoom() throws {
        let now = ContinuousClock.now
        var state = LiveState(now: now)
        var channel = TestChannel()
        for number in 1...UInt8(LiveState.keptPast + 3) {
            channel.generation = UInt64(number)
            state.take(channel, acquisition: acquisition(number), now: now)
        }
        let generations = state.past.map(\.generation)
        #expect(generations == (3...UInt64(LiveState.keptPast + 2)).reversed())
        #expect(state.past.allSatisfy { $0.channels[channel.name] != nil } && state.channels.count == 1)
        // A last state that comes when the next acquisition has begun.
        let told = state.pastVersion
        (channel.generation, channel.isFinal) = (UInt64(LiveState.keptPast + 2), true)
        state.take(channel, acquisition: acquisition(UInt8(LiveState.keptPast + 2)), now: now)
        #expect(state.past[0].channels[channel.name]?.content.isFinal == true && state.pastVersion > told)
        #expect(state.channels[channel.name]?.content.isFinal == false)
        // Large results of the oldest give way.
        for number in 20...22 as ClosedRange<UInt8> {
            var large = TestChannel()
            large.generation = UInt64(number)
            large.data = [UInt8](repeating: 0, count: LiveState.keptPastBytes / 2)
            state.take(large, acquisition: acquisition(number), now: now)
        }
        #expect(state.past.prefix(2).allSatisfy { !$0.channels.isEmpty } && state.past[3].channels.isEmpty)
        state.serverRestarted()
        #expect(state.acquisition == nil && state.past[0].generation == 22)
    }

    @Test func thePageIsSmallAndNeedsNothingElse() throws {
        #expect(PageFiles.all.values.reduce(0) { $0 + $1.bytes.count } <= 150_000)
        #expect(PageFiles.all["colourmaps.bin"]?.bytes.count == 768 * ColourTables.names.count)
        for (name, file) in PageFiles.all where name != "colourmaps.bin" {
            let text = String(decoding: file.bytes, as: UTF8.self)
            #expect(!text.contains("//cdn") && !text.contains("http://") && !text.contains("https://"), "\(name)")
            for unsafe in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                #expect(!text.contains(unsafe), "\(name) has \(unsafe)")
            }
            for line in text.split(separator: "\n") where line.hasPrefix("import ") && name.hasSuffix(".js") {
                let module = line.split(separator: "\"")[1]
                #expect(module.hasPrefix("./") && PageFiles.all[String(module.dropFirst(2))] != nil, "\(name): \(line)")
            }
        }
    }
}
