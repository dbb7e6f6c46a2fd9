// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]
func nio(_ product: String) -> Target.Dependency { .product(name: product, package: "swift-nio") }
let protobuf: Target.Dependency = .product(name: "SwiftProtobuf", package: "swift-protobuf")

// Rooms from the lowest to the highest; each may use those named behind it, and no room above it.
let rooms: [(name: String, uses: [Target.Dependency])] = [
    ("StemwireSystem", ["CStemwireSystem"]),
    ("ZeroMQ", ["CLibzmq", "StemwireSystem"]),
    ("MerlinProtocol", []),
    ("StemwireKernels", ["CStemwireKernels", "MerlinProtocol"]),
    ("StemwireProtocol", ["CLibxxhash", protobuf]),
    ("StemwireUDF", ["MerlinProtocol", "StemwireKernels"]),
    ("StemwireWire", ["ZeroMQ", "StemwireKernels", "StemwireProtocol", "StemwireUDF", protobuf]),
    ("StemwireAcquisition", ["MerlinProtocol", "StemwireSystem"]),
    ("StemwirePictures", ["CLibpng"]),
    (
        "StemwireServer",
        [
            "CLibsodium", "ZeroMQ", "MerlinProtocol", "StemwireAcquisition", "StemwireKernels", "StemwirePictures",
            "StemwireProtocol", "StemwireSystem", "StemwireUDF", "StemwireWire", protobuf,
            .product(name: "GRDB", package: "GRDB.swift"), .product(name: "Logging", package: "swift-log"),
        ]
    ),
    (
        "StemwireClient",
        ["ZeroMQ", "MerlinProtocol", "StemwireKernels", "StemwireProtocol", "StemwireSystem", protobuf]
    ),
    (
        "StemwireRelay",
        [
            "ZeroMQ", "StemwireClient", "StemwireProtocol", "StemwireServer", "StemwireSystem", protobuf,
            .product(name: "Logging", package: "swift-log"),
        ]
    ),
    ("StemwireAdapter", ["MerlinProtocol", "StemwireClient", "StemwireSystem"]),
    (
        "StemwireWorker",
        [
            "ZeroMQ", "MerlinProtocol", "StemwireClient", "StemwireKernels", "StemwireProtocol", "StemwireSystem",
            "StemwireUDF", "StemwireWire", protobuf, .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Logging", package: "swift-log"),
        ]
    ),
    (
        "StemwireViewer",
        [
            "CLibjpeg", "MerlinProtocol", "StemwireClient", "StemwireKernels", "StemwirePictures", "StemwireProtocol",
            "StemwireSystem", "StemwireUDF", protobuf, nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
            nio("NIOWebSocket"),
            .product(name: "Logging", package: "swift-log"),
        ]
    ),
    ("MerlinSimulator", ["MerlinProtocol", "StemwireSystem"]),
    (
        "Stemwire",
        [
            "MerlinProtocol", "MerlinSimulator", "StemwireAcquisition", "StemwireClient", "StemwireKernels",
            "StemwirePictures", "StemwireProtocol", "StemwireServer", "StemwireSystem", "StemwireUDF", "StemwireWire",
        ]
    ),
]

// What a room's tests use beside the room itself and what it uses.
let testsAlsoUse: [String: [Target.Dependency]] = [
    "StemwireAcquisition": ["MerlinSimulator"],
    "StemwireRelay": ["MerlinProtocol", "MerlinSimulator", "StemwireUDF"],
    "Stemwire": ["ZeroMQ"],
    "StemwireServer": ["MerlinSimulator", "StemwireClient", "StemwireWorker"],
    "StemwireViewer": ["MerlinSimulator", "StemwireAcquisition", "StemwireServer"],
]

// Files that become part of the program.
let resources: [String: [Resource]] = [
    "StemwirePictures": [.embedInCode("Tables")], "StemwireViewer": [.embedInCode("Page")],
]

let package = Package(
    name: "stemwire",
    products: [.executable(name: "stemwire", targets: ["StemwireCommand"])]
        + rooms.map { .library(name: $0.name, targets: [$0.name]) },
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.29.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    ],
    targets: [
        .systemLibrary(name: "CLibjpeg", providers: [.apt(["libjpeg-dev"])]),
        .systemLibrary(name: "CLibpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CLibsodium", providers: [.apt(["libsodium-dev"])]),
        .systemLibrary(name: "CLibxxhash", providers: [.apt(["libxxhash-dev"])]),
        .systemLibrary(name: "CLibzmq", providers: [.apt(["libzmq3-dev"])]),
        .target(name: "CStemwireKernels"),
        .target(name: "CStemwireSystem"),
        .target(
            name: "StemwireTestSupport", dependencies: ["StemwireSystem"], path: "Tests/StemwireTestSupport",
            swiftSettings: settings),
        .executableTarget(
            name: "StemwireCommand",
            dependencies: [
                "MerlinSimulator", "Stemwire", "StemwireAcquisition", "StemwireClient", "StemwireKernels",
                "StemwireAdapter", "StemwireProtocol", "StemwireRelay", "StemwireServer", "StemwireSystem",
                "StemwireUDF",
                "StemwireViewer", "StemwireWorker", "ZeroMQ",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "TOMLKit", package: "TOMLKit"),
            ], swiftSettings: settings),
    ]
        + rooms.map { room in
            .target(
                name: room.name, dependencies: room.uses, resources: resources[room.name], swiftSettings: settings)
        }
        + rooms.map { room in
            .testTarget(
                name: room.name + "Tests",
                dependencies: [.byName(name: room.name), "StemwireTestSupport"] + room.uses
                    + testsAlsoUse[room.name, default: []],
                swiftSettings: settings)
        }
)
